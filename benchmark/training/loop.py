"""The one loop that trains teachers and students: epochs, test after each, checkpoints, and a clean stop on a signal."""

import copy
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from tqdm import tqdm

from benchmark.method import Method
from benchmark.networks.build import reset
from benchmark.networks.packing import BitsWhereLarge
from benchmark.networks.recompute import recomputed
from benchmark.neurons import ran
from benchmark.shared.errors import UserError
from benchmark.shared.files import write_csv
from benchmark.training.batches import Batches
from benchmark.training.checkpoint import Checkpoint
from benchmark.training.evaluation import evaluate
from benchmark.training.layer_decay import Trained
from benchmark.training.optimiser import Precision, optimiser, schedule
from benchmark.training.outputs import Tapped
from benchmark.training.pulse import Pulse
from benchmark.training.teacher import Teacher

COUNTERS = (
    "epoch",
    "step",
    "curve",
    "seconds",
    "stepping",
    "waiting",
    "images",
    "sums",
    "sessions",
)  # what a checkpoint keeps beside the parts
INTERRUPTED = 75  # exit status (EX_TEMPFAIL): stopped by a signal, the checkpoint is written, run again to go on


class Step(nn.Module):
    """What is learned with what it is learned by: a module whose forward pass gives the loss terms, as gradients of several devices want it."""

    def __init__(self, trained: nn.Module, terms):
        super().__init__()
        self.trained, self.terms = trained, terms

    def forward(self, images, target, chosen) -> dict:
        return self.terms(images, target, chosen)


class Training:
    """One run in progress; everything that a resumed run needs is in `state()`. session: who trains now, see `sessions`."""

    def __init__(self, method, student: nn.Module, teacher: nn.Module | None, batches: Batches, checkpoint: Checkpoint, session: dict):
        self.method, self.batches, self.recipe, self.device = method, batches, batches.recipe, batches.device
        self.checkpoint, self.folder, self.pulse = checkpoint, checkpoint.folder, Pulse(checkpoint.folder)
        self.student = student.to(self.device, memory_format=torch.channels_last)
        self.parts = method.parts(student, teacher).to(self.device)
        self.networks = Tapped(student, method.sees), teacher and Teacher(teacher, method.sees, batches)
        self.trained = Trained({"student": self.student, "parts": self.parts})
        self.precision = Precision(self.recipe["precision"], self.device)
        self.bits = BitsWhereLarge()
        self.test_precision = Precision(self.recipe.get("test_precision", "fp32"), self.device)
        self.epochs = self.recipe["epochs"] + self.recipe["cooldown_epochs"] if self.recipe.get("epochs") else 0
        if self.epochs:  # else the recipe may name none
            self.optimizer = optimiser(self.recipe, self.trained)
            self.schedule = schedule(self.recipe, self.optimizer)
        self.epoch = self.step = 0
        self.curve: list[dict] = []
        self.seconds = self.stepping = self.waiting = 0.0  # of everything, of training steps, of these without images to work on
        self.images = 0
        self.sums: dict[str, float] = {}
        self.sessions: list[dict] = []  # what trained the weights, one for each time that the run was begun or gone on with
        self.world = batches.form.world
        with self.world.first_goes_first():  # it removes what cannot be used
            self.resume()
        if self.epoch < self.epochs or not self.sessions:
            self.sessions.append({**session, "from_epoch": self.epoch, "from_step": self.step})
        if self.epochs:
            self.model = self.world.model(Step(self.trained, self.forward))
            self.check_shares()

    def check_shares(self) -> None:
        """UserError where a device would have no image of a part of a batch."""
        whole, part = self.batches.size, self.recipe["micro_batch"] or self.batches.size
        least = whole % part or min(part, whole)
        if least < self.world.size:
            raise UserError(
                f"a part of {least} images cannot be shared by {self.world.size} devices: ask for fewer, resource gpu of the run's rule"
            )

    @property
    def kept(self) -> dict:
        """What a checkpoint keeps by its own `state_dict`."""
        return {"trained": self.trained, "optimizer": self.optimizer, "schedule": self.schedule, "scaler": self.precision.scaler}

    def state(self) -> dict:
        """For the checkpoint; a step's randomness follows from (seed, epoch, step), so no generator is kept."""
        return {**{name: part.state_dict() for name, part in self.kept.items()}, **{key: getattr(self, key) for key in COUNTERS}}

    def put(self, state: dict) -> None:
        """The opposite of `state`. Any error: it is not a whole one, and some of it may have been taken."""
        for name, part in self.kept.items():
            part.load_state_dict(state[name])
        for key in COUNTERS:
            setattr(self, key, state[key])

    def resume(self) -> None:
        """Go on where the newest usable checkpoint stopped."""
        if not self.checkpoint.files():
            return
        fresh = copy.deepcopy(self.state())
        if self.checkpoint.resume(self.put):
            print(f"resumed at epoch {self.epoch + 1}, step {self.step} of {self.folder}", file=sys.stderr)
        else:
            self.put(fresh)

    def save(self) -> None:
        """A checkpoint, which says what ran the neurons of this session."""
        if not self.world.first:
            return
        self.sessions[-1]["neurons"] = ran(self.student)
        self.checkpoint.save(self.state(), self.epoch, self.step)

    def train(self) -> None:
        """All epochs that are left. SystemExit(75) after a signal, with the checkpoint written."""
        began = time.monotonic() - self.seconds
        with stop_signals() as stop, self.progress() as bar:
            while self.epoch < self.epochs:
                self.train_epoch(stop, bar, began)
                self.end_epoch(began)
                if self.checkpoint.due() or self.epoch == self.epochs:
                    self.save()

    def train_epoch(self, stop, bar, began) -> None:
        """The steps of this epoch that are left, from `self.step`."""
        started = time.monotonic() - self.stepping
        self.trained.train()
        self.schedule.step(self.epoch)
        self.beat(began)
        if not self.step and type(self.method).before_epoch is not Method.before_epoch:
            images, target, _ = next(self.batches.train(self.epoch))
            self.method.before_epoch(self.student, images, target)
        for images, target, chosen in self.waited(self.batches.train(self.epoch, self.step)):
            for term, value in self.train_step(images, target, chosen).items():
                self.sums[term] = self.sums.get(term, 0.0) + value
            self.step += 1
            self.images += len(target)
            bar.update()
            self.beat(began)
            if self.world.any(bool(stop)):
                self.seconds, self.stepping = time.monotonic() - began, time.monotonic() - started
                self.save()
                self.tell(
                    f"stopped by {stop[0] if stop else 'another process'} at epoch {self.epoch + 1}, step {self.step}: run again to go on"
                )
                raise SystemExit(INTERRUPTED)
        self.sums = {term: float(value) for term, value in self.sums.items()}  # waits for the device
        self.stepping = time.monotonic() - started

    def beat(self, began: float) -> None:
        if self.world.first:
            self.pulse.beat(self.epoch, self.step, self.batches.steps, began)

    def tell(self, said: str) -> None:
        if self.world.first:
            print(said, file=sys.stderr, flush=True)

    def waited(self, batches: Iterator) -> Iterator:
        """The batches; `waiting` grows by the seconds that each of them takes to come, loaded, augmented and on the device."""
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            self.waiting += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def train_step(self, images, target, chosen) -> dict:
        """One update from a batch, in as many passes as the recipe's `micro_batch` makes of it; the loss terms as tensors on the device.

        Losses are means over images (a test asks every method), so parts weighted by their share add up to the whole batch's gradient,
        but for two things: batch normalisation has the statistics of each part, and moves its running ones once for each; and what a
        network or a loss draws for itself, like hidden patches, is drawn for each part. Teachers are asked for each part too.
        Several devices have a share of each part: see training.world.
        """
        sums: dict = {}
        parts = list(self.portions(images, target, chosen))
        self.world.draw_apart()
        for place, (share, part) in enumerate(parts):
            with self.world.more_to_come(self.model, place + 1 < len(parts)):
                terms = self.model(*part)
                if not place:  # no sooner: with that memory free, the forward pass takes a tenth longer
                    self.optimizer.zero_grad(set_to_none=True)
                self.precision.backward(self.world.size * share * sum(terms.values()))  # of which the mean is taken
            reset(self.student)
            for term, value in terms.items():
                sums[term] = sums.get(term, 0.0) + share * value.detach()
        self.precision.step(self.optimizer, self.trained.parameters(), self.recipe["clip_grad"])
        return {term: self.world.summed(value) for term, value in sums.items()}

    def portions(self, images, target, chosen):
        """(share of the images, part) for each part of a batch, of which it is this device's; the last one may be smaller."""
        size, axis = self.recipe["micro_batch"] or len(target), self.batches.form.axis
        for start in range(0, len(target), size):
            count = min(size, len(target) - start)
            mine = self.world.share(count)
            begin, length = start + mine.start, mine.stop - mine.start
            part = images.narrow(axis, begin, length), target[begin : begin + length], chosen[begin : begin + length]
            yield length / len(target), part

    def forward(self, images, target, chosen) -> dict:
        """The loss terms of a part of a batch."""
        student, teacher = self.networks
        with self.precision.autocast(), self.bits(images), self.memory():
            answer = teacher and teacher(images, chosen)
            return self.method.loss(student(images), answer, target, self.parts)

    def memory(self):
        """The context of a forward pass: what the recipe's `recompute` says is not kept for the backward one."""
        return recomputed(self.student.blocks) if self.recipe["recompute"] == "blocks" else nullcontext()

    def end_epoch(self, began) -> None:
        """Test, one line of the curve, on to the next epoch."""
        losses = {f"loss_{term}": value / max(1, self.batches.steps) for term, value in self.sums.items()}
        if not all(value == value for value in losses.values()):
            raise FloatingPointError(f"the loss is not a number in epoch {self.epoch + 1}: {losses}")
        rates = {"lr": rounded(max(group["lr"] for group in self.optimizer.param_groups))}
        losses = {name: rounded(value) for name, value in losses.items()}
        accuracy = evaluate(self.student, self.batches, self.test_precision).mean
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
        self.seconds = time.monotonic() - began
        self.curve.append({"epoch": self.epoch, **rates, **losses, "accuracy": accuracy, "seconds": round(self.seconds, 2)})
        if self.world.first:
            write_csv(self.folder / "curve.csv", self.curve)
        left = self.seconds / self.epoch * (self.epochs - self.epoch)
        self.tell(f"epoch {self.epoch}/{self.epochs}: accuracy {accuracy:.2f} %, {losses}, about {left:.0f} s left")

    def progress(self):
        """A bar with the time left, on a terminal only; a log file gets one line per epoch."""
        total, done = self.epochs * self.batches.steps, self.epoch * self.batches.steps + self.step
        return tqdm(
            total=total, initial=done, desc=self.folder.parent.name, unit="step", disable=None if self.world.first else True, leave=False
        )


def rounded(value: float) -> float:
    """Six significant digits: what a curve is read and drawn by."""
    return float(f"{value:.6g}")


@contextmanager
def stop_signals():
    """Inside the block, SIGTERM, SIGINT and SIGUSR1 fill the list that it gives instead of killing the process."""
    received: list[str] = []
    chosen = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.signal(number, lambda number, _: received.append(signal.Signals(number).name)) for number in chosen]
    try:
        yield received
    finally:
        for number, handler in zip(chosen, before, strict=True):
            signal.signal(number, handler)
