// One npm peer on one array, one JSON line:  node peer.mjs CASE FILE.f32 COUNT K REPS BUDGET_SECONDS
// NODE_PEERS: the folder whose node_modules has the peers.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.NODE_PEERS}/`)
const [name, file, count, k, repetitions, budget] = process.argv.slice(2).map((v, i) => (i < 2 ? v : Number(v)))
const bytes = readFileSync(file).subarray(0, count * 4)
const values = new Float32Array(bytes.buffer, bytes.byteOffset, count)
const mean = (list) => list.reduce((sum, v) => sum + v, 0) / list.length
const rows = () => Array.from(values, (v) => [v])

/** The package answers where each class begins. */
function meansOfClasses(begins) {
  const sorted = Float64Array.from(values).sort()
  const means = []
  let sum = 0
  let members = 0
  for (const v of sorted) {
    if (means.length + 1 < begins.length && v >= begins[means.length + 1]) {
      means.push(sum / members)
      sum = 0
      members = 0
    }
    sum += v
    members++
  }
  return [...means, sum / members]
}

const cases = {
  'ml-kmeans': () =>
    require('ml-kmeans')
      .kmeans(rows(), k, { seed: 1, maxIterations: 100 })
      .centroids.map((c) => c[0]),
  skmeans: () => require('skmeans')(Array.from(values), k, 'kmpp', 100).centroids.map(Number),
  'simple-statistics': () => require('simple-statistics').ckmeans(Array.from(values), k).map(mean),
  ckmeans: () => {
    const peer = require('ckmeans')
    return meansOfClasses((peer.default ?? peer)(Array.from(values), k))
  },
}

const times = []
let centres
const begin = performance.now()
while (times.length < repetitions && (times.length === 0 || performance.now() - begin + times.at(-1) < budget * 1000)) {
  const start = performance.now()
  centres = cases[name]()
  times.push(performance.now() - start)
}
times.sort((a, b) => a - b)
const extraBytes = process.resourceUsage().maxRSS * 1024 - bytes.length
console.log(
  JSON.stringify({
    case: name,
    count,
    k,
    repetitions: times.length,
    minMs: times[0],
    medianMs: times[times.length >> 1],
    extraBytes,
    centres: centres.filter(Number.isFinite),
  }),
)
