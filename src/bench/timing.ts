import { readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { performance } from 'node:perf_hooks'
import { binding, nativeInfo } from '../native/binding.js'

export interface Spread {
  minMs: number
  medianMs: number
}

export interface Case {
  name: string
  run: () => unknown
}

export type Measured = Spread & { name: string }

/**
 * Runs all cases in turn, `rounds` times after one round to warm up, so that whatever disturbs the machine meets all of them
 * alike; answers minimum and median of each.
 */
export async function interleave(cases: readonly Case[], rounds: number): Promise<Measured[]> {
  const times = cases.map((): number[] => [])
  for (let round = -1; round < rounds; round++) {
    for (const [i, { run }] of cases.entries()) {
      const start = performance.now()
      await run()
      if (round >= 0) times[i]!.push(performance.now() - start)
    }
  }
  return cases.map(({ name }, i) => ({ name, ...spread(times[i]!) }))
}

export function spread(times: readonly number[]): Spread {
  const sorted = [...times].sort((a, b) => a - b)
  return { minMs: sorted[0]!, medianMs: sorted[sorted.length >> 1]! }
}

/** One pass over the memory, the physical yardstick. */
export function readPass(values: Float32Array, threads: number): void {
  const status = binding().readPass(values, new Uint32Array(1), threads, new Int32Array(8), null)
  if (status !== 0) throw new Error(`readPass failed with status ${status}`)
}

/**
 * Peak memory of `run` above what the process held before, in bytes; null where the system does not tell (only Linux lets a
 * process reset its high-water mark). Memory that an earlier run gave back to the allocator and not to the system is not seen: for
 * processes of one run.
 */
export function peakBytes(run: () => void): number | null {
  const field = (name: string) => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))
    return Number(found?.[1]) * 1024
  }
  try {
    writeFileSync('/proc/self/clear_refs', '5')
    const before = field('VmRSS')
    run()
    return Math.max(0, field('VmHWM') - before)
  } catch {
    return null
  }
}

/** Peak memory that the addon's own blocks take while `run` runs; what an earlier run left with the allocator counts too. */
export function peakNativeBytes(run: () => void): number {
  const before = binding().memoryUsage(true).bytes
  run()
  return binding().memoryUsage(true).peakBytes - before
}

export interface Machine {
  cpu: string
  cores: number
  isa: string | null
  node: string
}

/** What figures are worth nothing without: the processor by name, never the machine's. */
export function machine(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    isa: nativeInfo().isa,
    node: process.version,
  }
}
