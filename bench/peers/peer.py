"""One Python peer on one array, one JSON line:  python peer.py CASE FILE.f32 COUNT K REPS BUDGET_SECONDS

Time (minimum and median), peak memory above the loaded input, and the centres it found; the caller scores the centres, with
one function for every peer. `score FILE COUNT` reads {"centres": [...]} lines and answers their squared errors."""
import json
import os
import sys
import time

import numpy as np


def column(x):
    return x.reshape(-1, 1)


def sklearn_kmeans(x, k):
    from sklearn.cluster import KMeans
    return KMeans(n_clusters=k, n_init=1, random_state=0).fit(column(x)).cluster_centers_


def sklearn_sampled(x, k):
    """The work-around of the blog: fit on 1 %, then predict all."""
    from sklearn.cluster import KMeans
    sample = np.random.default_rng(0).choice(x, max(k, x.size // 100), replace=False)
    model = KMeans(n_clusters=k, n_init=1, random_state=0).fit(column(sample))
    model.predict(column(x))
    return model.cluster_centers_


def faiss_kmeans(x, k):
    import faiss
    model = faiss.Kmeans(1, k, niter=25, seed=1)
    model.train(column(x))
    model.index.search(column(x), 1)
    return model.centroids


def kmeans1d(x, k):
    import kmeans1d as peer
    return peer.cluster(x, k).centroids


def ckwrap(x, k):
    import ckwrap as peer
    return peer.ckmeans(x, k).centers


def ckmeans(x, k):
    import ckmeans as peer
    return [c.mean() for c in peer.ckmeans(x, min(k, 255))]  # 255 at the most


def flash1dkmeans(x, k):
    import flash1dkmeans as peer
    return peer.kmeans_1d(x, k, random_state=0)[0]


def coremltools_float16(x, k):
    """Unique float16 values and an exact weighted solver; codes included."""
    from coremltools.models.neural_network.quantization_utils import _get_kmeans_lookup_table_and_weight
    return _get_kmeans_lookup_table_and_weight(int(np.log2(k)), x.astype(np.float16))[0]


def numpy_sorted_lloyd(x, k, steps=20000):
    """Sort once, prefix sums, Lloyd by k searches a step to the fixed point, start at the cube root of the density, codes."""
    s = np.sort(x)
    sums = np.concatenate(([0.0], np.cumsum(s, dtype=np.float64)))
    counts, edges = np.histogram(x[:: max(1, x.size >> 20)], 4096)
    reached = np.concatenate(([0.0], np.cumsum(np.cbrt(counts))))
    c = np.interp((np.arange(k) + 0.5) / k, reached / reached[-1], edges)
    before = None
    for _ in range(steps):
        b = np.concatenate(([0], np.searchsorted(s, ((c[1:] + c[:-1]) / 2).astype(np.float32)), [s.size]))
        if before is not None and np.array_equal(b, before):
            break
        n = np.diff(b)
        c = np.where(n > 0, np.diff(sums[b]) / np.maximum(n, 1), c)
        before = b
    np.searchsorted(((c[1:] + c[:-1]) / 2).astype(np.float32), x).astype(np.uint8)
    return c


def quantiles(x, k):
    return np.quantile(x[: 1 << 20], (np.arange(k) + 0.5) / k).astype(np.float32)


def torch_bucketize(x, k, threads=2):
    """Assignment alone, to given centroids."""
    import torch
    torch.set_num_threads(threads)
    c = quantiles(x, k)
    tensor, borders = torch.from_numpy(x), torch.from_numpy(((c[1:] + c[:-1]) / 2).astype(np.float32))
    yield
    torch.bucketize(tensor, borders, out_int32=True)


def numpy_searchsorted(x, k):
    """Assignment alone, to given centroids."""
    c = quantiles(x, k)
    borders = ((c[1:] + c[:-1]) / 2).astype(np.float32)
    yield
    np.searchsorted(borders, x).astype(np.uint8)


def numpy_partition(x, k):
    """The pruning threshold at 4 % alone, without a mask."""
    magnitudes = np.abs(x)
    yield
    np.partition(magnitudes, x.size - round(0.04 * x.size))


CASES = {f.__name__: f for f in (
    sklearn_kmeans, sklearn_sampled, faiss_kmeans, kmeans1d, ckwrap, ckmeans, flash1dkmeans, coremltools_float16,
    numpy_sorted_lloyd, torch_bucketize, numpy_searchsorted, numpy_partition)}


def squared_error(x, centres):
    """float64 throughout, a million values at a time; the one score of the whole table."""
    c = np.unique(np.asarray(centres, dtype=np.float64).ravel())
    middle = (c[1:] + c[:-1]) / 2
    total = 0.0
    for i in range(0, x.size, 1 << 20):
        part = x[i: i + (1 << 20)].astype(np.float64)
        d = part - c[np.searchsorted(middle, part)]
        total += float(d @ d)
    return total


def status(field):
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(field)) * 1024


def timed(function, x, k):
    """Seconds of a call; a generator has prepared itself before its first yield, outside the clock."""
    import inspect
    result = function(x, k)
    if inspect.isgenerator(result):
        next(result)
        start = time.perf_counter()
        for _ in result:
            pass
        return time.perf_counter() - start, None
    return None, result


def main():
    name, path, count, k, repetitions, budget = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7])
    x = np.fromfile(path, dtype=np.float32, count=count)
    if name == "score":
        for line in sys.stdin:
            print(json.dumps(squared_error(x, json.loads(line)["centres"])), flush=True)
        return
    function = CASES[name]
    timed(function, np.random.default_rng(9).standard_normal(4096).astype(np.float32), min(k, 16))  # imports, compilation
    times, centres, peak = [], None, 0
    begin = time.perf_counter()
    while len(times) < repetitions and (not times or time.perf_counter() - begin + times[-1] < budget):
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
        before = status("VmRSS")
        start = time.perf_counter()
        seconds, centres = timed(function, x, k)
        times.append(time.perf_counter() - start if seconds is None else seconds)
        peak = max(peak, status("VmHWM") - before)
    times.sort()
    found = None if centres is None else [float(c) for c in np.asarray(centres, dtype=np.float64).ravel()]
    print(json.dumps(dict(case=name, count=count, k=k, repetitions=len(times), minMs=times[0] * 1e3,
                          medianMs=times[len(times) // 2] * 1e3, extraBytes=peak, centres=found)), flush=True)


if __name__ == "__main__":
    main()
