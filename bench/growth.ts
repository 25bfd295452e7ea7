// Time of k-means against the number of weights and against the number of clusters: figures into bench/results/, the plot into
// native/quantize/growth.svg.   node -r ./bench/support/register.cjs bench/growth.ts [--large]
import { writeFileSync } from 'node:fs'
import { benchKmeans, type KmeansBenchRow } from '../src/bench/kmeans'
import { plot, type Series } from '../src/plot'
import type { KmeansAlgorithm } from '../src/quantize/kmeans'

const names = process.argv.find((argument) => argument.startsWith('--algorithms='))?.slice('--algorithms='.length)
const algorithms = (names ?? 'histogram,optimal').split(',') as KmeansAlgorithm[]
const counts = [65536, 262144, 1048576, 4194304, 16777216]
const clusters = [4, 16, 64, 256, 1024]

function series(rows: readonly KmeansBenchRow[], x: (row: KmeansBenchRow) => number): Series[] {
  return algorithms.map((name) => ({
    name,
    points: rows.filter((row) => row.algorithm === name).map((row) => [x(row), row.minMs] as const),
  }))
}

async function main() {
  const byCount: KmeansBenchRow[] = []
  const passes: [number, number][] = []
  for (const count of counts) {
    const report = await benchKmeans({ arrays: ['b'], count, algorithms, rounds: count > 4e6 ? 1 : 3 })
    byCount.push(...report.rows)
    passes.push([count, report.readPasses[0]!.minMs])
  }
  if (process.argv.includes('--large')) {
    const report = await benchKmeans({ arrays: ['c'], algorithms: ['histogram'], rounds: 2 })
    byCount.push(...report.rows)
    passes.push([report.readPasses[0]!.count, report.readPasses[0]!.minMs])
  }
  const byClusters = await benchKmeans({ arrays: ['b'], count: 4194304, clusters, algorithms, rounds: 1 })
  const date = new Date().toISOString().slice(0, 10)
  const result = {
    date,
    machine: byClusters.machine,
    threads: byClusters.threads,
    byCount,
    byClusters: byClusters.rows,
  }
  writeFileSync(`bench/results/${date}-kmeans-growth.json`, `${JSON.stringify(result, null, 1)}\n`)
  const yLabel = 'ms, codes included'
  const picture = plot([
    {
      title: 'k = 256',
      xLabel: 'weights',
      yLabel,
      series: [...series(byCount, (row) => row.count), { name: 'read pass', points: passes }],
    },
    { title: '4.2 M weights', xLabel: 'clusters', yLabel, series: series(byClusters.rows, (row) => row.clusters) },
  ])
  writeFileSync('native/quantize/growth.svg', picture)
}

main()
