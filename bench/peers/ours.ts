// One of our own jobs on one array, one JSON line, as peer.py does:  ours.ts CASE FILE.f32 COUNT K REPS BUDGET_SECONDS
import { readFileSync } from 'node:fs'
import { peakBytes, readPass, spread } from '../../src/bench/timing'
import * as door from '../../src/index'
import { binding } from '../../src/native/binding'

const [name, file, ...numbers] = process.argv.slice(2) as [string, string, ...string[]]
const [count, k, repetitions, budget] = numbers.map(Number) as [number, number, number, number]
const bytes = readFileSync(file).subarray(0, count * 4)
const values = new Float32Array(bytes.buffer, bytes.byteOffset, count)
const threads = 2
const control = () => new Int32Array(8)

interface Clusters {
  centroids: Float32Array
}
type Kmeans = (values: Float32Array, options: object, job: object) => Clusters

function kmeans(algorithm: string): () => Float32Array {
  const { kmeans1dSync } = door as unknown as { kmeans1dSync?: Kmeans }
  if (!kmeans1dSync) throw new Error('this build has no kmeans1d')
  const codes = new Uint8Array(count)
  return () => {
    const { centroids } = kmeans1dSync(values, { clusters: k, algorithm }, { threads, force: true })
    binding().assign(values, null, centroids, codes, threads, control(), null)
    return centroids
  }
}

/** As the peers' assignment cases: centroids at the quantiles of the first million values. */
function assignment(): () => null {
  const sorted = values.slice(0, 1 << 20).sort()
  const centroids = Float32Array.from({ length: k }, (_, i) => sorted[Math.floor(((i + 0.5) / k) * sorted.length)]!)
  const codes = new Uint8Array(count)
  return () => {
    binding().assign(values, null, centroids, codes, threads, control(), null)
    return null
  }
}

const cases: Record<string, () => () => Float32Array | null> = {
  histogram: () => kmeans('histogram'),
  optimal: () => kmeans('optimal'),
  lloyd: () => kmeans('lloyd'),
  fit: () => kmeans('fit'),
  assign: assignment,
  prune: () => () => {
    door.pruneSync(values, { density: 0.04 }, { threads, force: true })
    return null
  },
  'read pass': () => () => {
    readPass(values, threads)
    return null
  },
}

const run = cases[name]!()
run()
const times: number[] = []
let centres: Float32Array | null = null
const begin = performance.now()
while (times.length < repetitions && (times.length === 0 || performance.now() - begin < budget * 1000)) {
  const start = performance.now()
  centres = run()
  times.push(performance.now() - start)
}
const extraBytes = peakBytes(run)
console.log(
  JSON.stringify({
    case: name,
    count,
    k,
    repetitions: times.length,
    ...spread(times),
    extraBytes,
    centres: centres && Array.from(centres),
  }),
)
