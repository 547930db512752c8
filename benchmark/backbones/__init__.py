"""Backbone families, one file each: literal tables (sizes, twin, neuron constants, layouts) and a function build."""
