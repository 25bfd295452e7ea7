// k-means by every algorithm against one read pass: what `deepcompress bench kmeans` prints, plus the real weights of the
// VGG-16 convolutions and MiniLM's embedding when scripts/real-weights.mjs has fetched them.
import { benchKmeans, formatKmeansBench } from '../src/bench/kmeans'

async function main() {
  const report = await benchKmeans({ arrays: ['a', 'b'], rounds: 3 })
  process.stdout.write(process.argv.includes('--json') ? `${JSON.stringify(report)}\n` : formatKmeansBench(report))
}

main()
