// assign and expand against one read pass: the kernels into arrays that exist already, and the public doors, which also
// allocate their result (new pages cost more than the kernels). The limit "read 64 MiB, write 16 MiB" is in bench/kernels.
import { readPass } from '../src/bench/timing'
import { generate, WORKLOADS } from '../src/bench/workload'
import { binding } from '../src/native/binding'
import { pruneSync } from '../src/prune/prune'
import { assignSync, expandSync } from '../src/quantize/assign'
import { measure } from './support/report'

const force = { force: true }

/** Centroids near the optimum: spaced by the cube root of the density, from a sorted sample. */
function spacedCentroids(values: Float32Array, clusters: number): Float32Array {
  const sample = values.slice(0, 1 << 16).sort()
  const cells = 1024
  const low = sample[0]!
  const width = (sample.at(-1)! - low) / cells
  const counts = new Float64Array(cells)
  for (const v of sample) counts[Math.min(cells - 1, Math.floor((v - low) / width))]!++
  const total = counts.reduce((sum, n) => sum + Math.cbrt(n), 0)
  const centroids: number[] = []
  let sum = 0
  for (let cell = 0; cell < cells; cell++) {
    const next = sum + Math.cbrt(counts[cell]!)
    while (centroids.length < clusters && ((centroids.length + 0.5) / clusters) * total <= next) {
      const part = (((centroids.length + 0.5) / clusters) * total - sum) / (next - sum)
      centroids.push(low + (cell + part) * width)
    }
    sum = next
  }
  return Float32Array.from(centroids)
}

async function main() {
  for (const name of ['a', 'b'] as const) {
    const values = generate(WORKLOADS[name])
    const books = [16, 32, 256, 4096].map((k) => spacedCentroids(values, k))
    const [, c32, c256] = books
    const codes = assignSync(values, c256!, force)
    const { mask } = pruneSync(values, { density: 0.04 }, force)
    const sparse = assignSync(values, c32!, { mask, ...force })
    const count = values.length
    const wide = new Uint16Array(count)
    const dense = new Float32Array(count)
    const control = new Int32Array(8)
    await measure(`assign and expand, array ${name}, ${count} weights`, [
      { name: 'one read pass, 2 threads', run: () => readPass(values, 2) },
      { name: 'one read pass, 1 thread', run: () => readPass(values, 1) },
      ...books.flatMap((book) =>
        [1, 2].map((threads) => ({
          name: `assign k=${book.length}, ${threads} thread${threads > 1 ? 's' : ''}`,
          run: () => binding().assign(values, null, book, book.length <= 256 ? codes : wide, threads, control, null),
        })),
      ),
      {
        name: 'expand k=256, 2 threads',
        run: () => binding().expand(codes, null, c256!, dense, 2, control, null),
      },
      { name: 'assignSync k=256', run: () => assignSync(values, c256!, { threads: 2, ...force }) },
      { name: 'assignSync k=32, 4 % by mask', run: () => assignSync(values, c32!, { mask, threads: 2, ...force }) },
      { name: 'expandSync k=256', run: () => expandSync(codes, c256!, { threads: 2, ...force }) },
      {
        name: 'expandSync k=32, 4 % by mask',
        run: () => expandSync(sparse, c32!, { mask, count, threads: 2, ...force }),
      },
    ])
  }
}

main()
