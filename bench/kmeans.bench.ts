// k-means by every algorithm against one read pass: what `deepcompress bench kmeans` prints, then the real weights of the VGG-16
// convolutions and of MiniLM's embedding, when scripts/real-weights.mjs has fetched them. `--large` adds 102.8 M weights.
import { existsSync, readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { benchKmeans, benchKmeansOn, formatKmeansBench, type KmeansBenchReport } from '../src/bench/kmeans'

const folder = path.join(
  process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'),
  'deep-compression/real-weights',
)

function show(report: KmeansBenchReport) {
  process.stdout.write(
    process.argv.includes('--json') ? `${JSON.stringify(report)}\n` : `${formatKmeansBench(report)}\n`,
  )
}

async function main() {
  const algorithms = ['histogram', 'optimal', 'lloyd'] as const
  show(await benchKmeans({ arrays: ['a', 'b'], algorithms, rounds: 3 }))
  if (process.argv.includes('--large')) show(await benchKmeans({ arrays: ['c'], algorithms: ['histogram'], rounds: 3 }))
  for (const name of ['vgg-conv', 'minilm-embedding']) {
    const file = path.join(folder, `${name}.f32`)
    if (!existsSync(file)) {
      console.error(`${name}: skipped, "node scripts/real-weights.mjs" fetches it`)
      continue
    }
    const bytes = readFileSync(file)
    const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
    show(await benchKmeansOn(name, values, { algorithms, rounds: 3 }))
  }
}

main()
