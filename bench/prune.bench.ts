// Pruning at 4 % with the mask, against one pass over the memory; the other ways to prune, and ties.
import { readPass } from '../src/bench/timing'
import { generate, WORKLOADS } from '../src/bench/workload'
import { pruneSync } from '../src/prune/prune'
import { measure } from './support/report'

const force = { force: true }

async function main() {
  for (const name of ['a', 'b'] as const) {
    const values = generate(WORKLOADS[name])
    const tied = values.map((v) => Math.round(v * 2000) / 2000)
    await measure(`prune, array ${name}, ${values.length} weights`, [
      { name: 'one read pass, 2 threads', run: () => readPass(values, 2) },
      { name: 'to density 0.04', run: () => pruneSync(values, { density: 0.04 }, { threads: 2, ...force }) },
      { name: 'to density 0.04, 1 thread', run: () => pruneSync(values, { density: 0.04 }, { threads: 1, ...force }) },
      { name: 'to density 0.35', run: () => pruneSync(values, { density: 0.35 }, { threads: 2, ...force }) },
      {
        name: 'to density 0.04, few distinct values',
        run: () => pruneSync(tied, { density: 0.04 }, { threads: 2, ...force }),
      },
      { name: 'below a threshold', run: () => pruneSync(values, { threshold: 0.0205 }, { threads: 2, ...force }) },
      { name: 'below 2 standard deviations', run: () => pruneSync(values, { stdFactor: 2 }, { threads: 2, ...force }) },
    ])
  }
}

main()
