"""Forms of data, one file each: they own axes, normalisation and augmentation, so that a data set is names, splits and statistics."""

from benchmark.training.forms.events import Events
from benchmark.training.forms.folder import Folder
from benchmark.training.forms.images import Images

FORMS = {"images": Images, "folder": Folder, "events": Events}
