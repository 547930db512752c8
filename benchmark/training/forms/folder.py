"""Large images in a folder of class folders: decoded and augmented by loader workers with timm's ImageNet transforms."""

import signal
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from benchmark.shared.errors import UserError
from benchmark.training import augment
from benchmark.training.forms._base import Form, seed_everything


class Folder(Form):
    """Images as large as the network's published weights want them, else as the data set declares.

    One set of workers per use (training, test, plain), as many as the job has threads, that live as long as the run.
    """

    refuses = ("randaugment_ops", "autoaugment", "cutout", "event_augment")
    crops = list

    def __init__(self, *arguments):
        from torchvision.datasets import ImageFolder

        super().__init__(*arguments)
        if self.recipe["eval_crop"] is None and not self.published:
            raise UserError("recipe key 'eval_crop' is null, the network's own, but this network has no published weights that have one")
        self.folders = {"train": ImageFolder(self.data.train), "test": ImageFolder(self.data.test)}
        self.count, self.test_count = len(self.folders["train"]), len(self.folders["test"])
        self.loaders: dict[str, DataLoader] = {}

    def transform(self, training: bool):
        """timm's, from a file's picture to uint8 [C, H, W]."""
        from timm.data import create_transform

        recipe, published = self.recipe, self.published
        transform = create_transform(
            published.get("resolution", self.entry["shape"][1]),
            is_training=training,
            use_prefetcher=True,  # uint8 out: normalised on the device
            scale=tuple(recipe["crop"]) if training else None,
            hflip=recipe["flip"],
            color_jitter=None,
            auto_augment=recipe["randaugment"] if training else None,
            interpolation=published.get("interpolation", "bicubic"),
            mean=self.data.mean,
            crop_pct=recipe["eval_crop"] or published["crop_pct"],
            crop_mode=published.get("crop_mode"),
        )
        augment.mend(transform)
        return transform

    def batches(self, use: str, rows, epoch: int = 0):
        """Raw batches of the images that each of `rows` names; several processes decode a share of each and give it to the others."""
        if use not in self.loaders:
            self.loaders[use] = self.loader(use)
        loader, rows = self.loaders[use], list(rows)
        shared = [len(row) >= self.world.size for row in rows]
        mine = [row[self.world.share(len(row))] if share else row for row, share in zip(rows, shared, strict=True)]
        loader.batch_sampler.rows = [[(epoch, index) for index in row] for row in mine]
        with deaf():
            decoded = iter(loader)
        for (images, labels), row, share in zip(decoded, rows, shared, strict=True):
            batch = (value.to(self.device, non_blocking=True) for value in (images, labels))
            yield tuple(self.world.gathered(value, len(row)) if share else value for value in batch)

    def loader(self, use: str) -> DataLoader:
        from timm.data.loader import fast_collate

        seeded = Seeded(self.folders["test" if use == "test" else "train"], self.transform(use == "train"), self.seed)
        pin, workers = self.device.type == "cuda", max(1, self.threads)
        options = {"num_workers": workers, "persistent_workers": True, "pin_memory": pin}
        return DataLoader(seeded, batch_sampler=Rows(), collate_fn=fast_collate, **options)

    def close(self):
        self.loaders.clear()

    def train(self, order, epoch):
        return self.batches("train", order.tolist(), epoch)

    def plain(self, order):
        return self.batches("plain", order.tolist())

    def test(self, size):
        return self.batches("test", torch.arange(self.test_count).split(size))

    def shown(self, order):
        return next(self.batches("test", [order]))


@contextmanager
def deaf():
    """Workers started inside never hear a signal to stop, from their first instruction on: it is for the process that trains.

    That one writes the checkpoint and then ends its workers; what reaches it inside the block, it hears after.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Rows(Sampler):
    """Batches of (epoch, index) that change between epochs, under workers that stay."""

    def __init__(self):
        self.rows: list = []

    def __iter__(self):
        return iter(self.rows)

    def __len__(self):
        return len(self.rows)


class Seeded(Dataset):
    """A folder whose augmentation of an image follows from (seed, epoch, image), whichever worker draws it, resumed or not."""

    def __init__(self, folder, transform, seed: int):
        self.folder, self.transform, self.seed = folder, transform, seed

    def __len__(self):
        return len(self.folder)

    def __getitem__(self, place):
        epoch, index = place
        seed_everything(self.seed, epoch, int(index))
        image, label = self.folder[index]
        return self.transform(image), label
