"""What a row's cell became: the folder of each run, its state, whether its metrics are believed; the lines of tables with their runs."""
