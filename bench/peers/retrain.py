"""What pruning and weight sharing add to a training step in Python, by the framework's own plain step:

    python retrain.py tfmot | torch [--rounds N] [--steps N]

Dense 784-512-512-10, batch 128, Nesterov momentum, random images: the net and the kinds of step of `npm run bench -- retrain --net
784-512-512-10`. The kinds are taken in turn, `rounds` times a block of `steps`; a line each with the median milliseconds of a step and
the median over the rounds of its ratio to plain. Needs requirements-retrain.txt (tfmot runs on Keras 2, hence tf_keras)."""
import json
import os
import statistics
import sys
import time

import numpy as np

SIZES = [784, 512, 512, 10]
BATCH = 128
CLUSTERS = [16, 32, 256]
DENSITY = 0.08


def argument(flag, default):
    return int(sys.argv[sys.argv.index(flag) + 1]) if flag in sys.argv else default


def images(batches):
    rng = np.random.default_rng(1)
    return rng.random((batches * BATCH, SIZES[0]), dtype=np.float32), rng.integers(0, SIZES[-1], batches * BATCH)


def measure(framework, cases, rounds, steps):
    """`cases`: name -> a callable that makes `steps` steps; the first one is plain."""
    times = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, run in cases.items():
            start = time.perf_counter()
            run()
            if number:
                times[name].append((time.perf_counter() - start) / steps * 1e3)
    plain = times[next(iter(times))]
    for name, own in times.items():
        ratio = statistics.median(a / b for a, b in zip(own, plain))
        print(json.dumps(dict(framework=framework, case=name, ms=round(statistics.median(own), 2), ratio=round(ratio, 2),
                              ratio_of_minima=round(min(own) / min(plain), 2))), flush=True)


def tfmot(rounds, steps):
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_model_optimization as mot
    keras = tf.keras
    x, y = images(steps)

    def dense():
        keras.utils.set_random_seed(1)
        inner = [keras.layers.Dense(size, "relu") for size in SIZES[1:-1]]
        return keras.Sequential([keras.layers.Input(SIZES[:1]), *inner, keras.layers.Dense(SIZES[-1])])

    def case(model, *callbacks):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.legacy.SGD(0.001, 0.9, True), loss)
        return lambda: model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks))

    linear = mot.clustering.keras.CentroidInitialization.LINEAR
    constant = mot.sparsity.keras.ConstantSparsity(1 - DENSITY, begin_step=0, frequency=100)
    cases = {
        "plain": case(dense()),
        "masked, 8 %: prune_low_magnitude": case(
            mot.sparsity.keras.prune_low_magnitude(dense(), pruning_schedule=constant), mot.sparsity.keras.UpdatePruningStep()),
    }
    for k in CLUSTERS:
        clustered = mot.clustering.keras.cluster_weights(dense(), number_of_clusters=k, cluster_centroids_init=linear)
        cases[f"centroids, k = {k}: cluster_weights"] = case(clustered)
    measure(f"tfmot {mot.__version__}, tensorflow {tf.__version__}", cases, rounds, steps)


def torch_by_hand(rounds, steps):
    """As one would write it: weights looked up in the forward pass, so that autograd sums the gradients of a centroid."""
    import torch
    torch.manual_seed(1)
    x, y = (torch.from_numpy(a).split(BATCH) for a in images(steps))
    momentum = dict(lr=0.001, momentum=0.9, nesterov=True)

    def dense():
        layers = []
        for inputs, outputs in zip(SIZES, SIZES[1:]):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1])

    def train(model, after=lambda: None):
        optimizer = torch.optim.SGD(model.parameters(), **momentum)

        def run():
            for images_of, labels in zip(x, y):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(images_of), labels).backward()
                optimizer.step()
                after()
        return run

    class Shared(torch.nn.Module):
        def __init__(self, linear, k, density):
            super().__init__()
            weight = linear.weight.detach()
            low, high = weight.min(), weight.max()
            codes = ((weight - low) / (high - low) * (k - 1)).round().long()
            self.register_buffer("codes", codes)
            self.codebook = torch.nn.Parameter(torch.linspace(low, high, k))
            self.bias = linear.bias
            self.keep = torch.rand_like(weight) < density if density < 1 else None

        def forward(self, a):
            weight = self.codebook[self.codes]
            return torch.nn.functional.linear(a, weight if self.keep is None else weight * self.keep, self.bias)

    def shared(k, density):
        return torch.nn.Sequential(*[Shared(m, k, density) if isinstance(m, torch.nn.Linear) else m for m in dense()])

    net = dense()
    kernels = [m.weight for m in net if isinstance(m, torch.nn.Linear)]
    keeps = [(torch.rand_like(w) < DENSITY) for w in kernels]

    @torch.no_grad()
    def mask():
        for weight, keep in zip(kernels, keeps):
            weight.mul_(keep)
    cases = {"plain": train(dense()), "masked, 8 %: by hand": train(net, mask)}
    for k in CLUSTERS:
        cases[f"centroids, k = {k}: codebook[codes]"] = train(shared(k, 1))
    cases["centroids, 8 %, k = 16: codebook[codes] * mask"] = train(shared(16, DENSITY))
    measure(f"torch {torch.__version__}", cases, rounds, steps)


if __name__ == "__main__":
    run = {"tfmot": tfmot, "torch": torch_by_hand}[sys.argv[1]]
    run(argument("--rounds", 5), argument("--steps", 20))
