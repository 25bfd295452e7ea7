// What compressing 16.8 million weights costs a server: the event loop's delay (p99, goal below 20 ms) and the time from an abort to
// the rejection (goal below 50 ms). Run it on a quiet machine: what other processes take is in both.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { machine } from '../src/bench/timing'
import { compress, type Recipe } from '../src/index'

const COUNT = 1 << 24
const values = Float32Array.from({ length: COUNT }, (_, i) => Math.sin(i) * Math.sin(i * 0.7310585) * 0.05 + 1e-4)
const tensor = () => [{ name: 'fc6', shape: [4096, 4096], values }]

const RECIPES: Record<string, Recipe> = {
  'pruned to 4 % and shared': { rules: [{ match: '*', prune: { density: 0.04 }, quantize: { clusters: 32 } }] },
  'shared among 256': { rules: [{ match: '*', quantize: { clusters: 256 } }] },
  lossless: { rules: [] },
}

async function loopDelay(recipe: Recipe): Promise<{ p99: number; max: number; total: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const start = performance.now()
  delay.enable()
  const archive = await compress(tensor(), recipe)
  delay.disable()
  archive.dispose()
  return { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6, total: performance.now() - start }
}

/** Milliseconds from the abort to the rejection; 0 when the work was done before. */
async function abortTime(recipe: Recipe, after: number): Promise<number> {
  const controller = new AbortController()
  let abortedAt = 0
  setTimeout(() => {
    abortedAt = performance.now()
    controller.abort()
  }, after)
  const aborted = await compress(tensor(), recipe, { signal: controller.signal }).then(
    () => false,
    () => true,
  )
  return aborted ? performance.now() - abortedAt : 0
}

async function main() {
  const { cpu, cores, isa } = machine()
  console.log(`${COUNT} weights (${cpu}, ${cores} cores, ${isa})`)
  for (const [name, recipe] of Object.entries(RECIPES)) {
    await loopDelay(recipe)
    const rounds: Awaited<ReturnType<typeof loopDelay>>[] = []
    for (let i = 0; i < 5; i++) rounds.push(await loopDelay(recipe))
    const aborts: number[] = []
    for (const after of [0, 20, 60, 100]) aborts.push(await abortTime(recipe, after))
    const spread = (pick: (r: (typeof rounds)[0]) => number) =>
      `${Math.min(...rounds.map(pick)).toFixed(1)} to ${Math.max(...rounds.map(pick)).toFixed(1)} ms`
    console.log(
      `${name}: loop delay p99 ${spread((r) => r.p99)}, worst turn ${spread((r) => r.max)}, whole ${spread((r) => r.total)}`,
    )
    console.log(`  abort to rejection: ${aborts.map((ms) => ms.toFixed(1)).join(', ')} ms`)
  }
}

main()
