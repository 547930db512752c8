"""Small images uint8 [N, C, H, W], whole on the device and augmented there."""

from functools import cached_property

from benchmark.shared.errors import UserError
from benchmark.training import augment
from benchmark.training.forms._base import Form


class Images(Form):
    """images, labels: the training set."""

    refuses = ("event_augment",)
    changes = ("crop", "flip", "randaugment", "autoaugment", "cutout", "erasing", "mixup", "cutmix")  # recipe keys that change an image

    def __init__(self, *arguments):
        super().__init__(*arguments)
        train, test = self.data.train, self.data.test
        self.images, self.labels = train.images.to(self.device), train.labels.to(self.device)
        self.test_images, self.test_labels = test.images.to(self.device), test.labels.to(self.device)
        self.count, self.test_count = len(self.labels), len(self.test_labels)
        self.fixed = not any(self.recipe.get(key) for key in self.changes)
        for images in (self.images, self.test_images):
            self.check(list(images.shape[1:]))

    def check(self, shape: list) -> None:
        """UserError for a data set that is not what it declares."""
        if shape != list(self.entry["shape"]):
            raise UserError(f"{self.entry['name']} declares images of shape {self.entry['shape']} and has {shape}")

    def train(self, order, epoch):
        return self.plain(order)

    def plain(self, order):
        for chosen in order.to(self.device):
            yield self.images[chosen], self.labels[chosen]

    def test(self, size):
        yield from zip(self.test_images.split(size), self.test_labels.split(size), strict=True)

    def shown(self, order):
        return self.test_images[order.to(self.device)], self.test_labels[order.to(self.device)]

    def augment(self, images):
        recipe = self.recipe
        images = augment.flip(augment.crop(images, recipe["crop"]), recipe["flip"])
        for policy in self.policies:
            images = policy(images)
        return augment.cutout(images, recipe["cutout"])

    @cached_property
    def policies(self) -> list:
        """RandAugment, then AutoAugment, as far as the recipe has them."""
        randaugment, autoaugment = self.recipe["randaugment"], self.recipe["autoaugment"]
        first = [augment.RandAugment(randaugment, self.recipe["randaugment_ops"], self.data.mean)] if randaugment else []
        return first + ([augment.AutoAugment(autoaugment)] if autoaugment else [])
