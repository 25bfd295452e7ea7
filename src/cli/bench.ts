import { benchKmeans, formatKmeansBench, type KmeansBenchOptions } from '../bench/kmeans.js'
import { runCommand, type SharedOptions } from './run.js'

interface BenchOptions extends SharedOptions {
  count?: number
  rounds?: number
}

/** This machine's figures. The one bench so far is `kmeans`. */
export async function benchCommand(_what: 'kmeans', options: BenchOptions): Promise<void> {
  await runCommand(options, async ({ progress, result }) => {
    const { count, rounds, threads } = options
    const given: KmeansBenchOptions = {
      ...(count === undefined ? {} : { count }),
      ...(rounds === undefined ? {} : { rounds }),
      ...(threads === undefined ? {} : { threads }),
    }
    const report = await benchKmeans(given, (array) => progress.log(`array ${array}`))
    result(report, formatKmeansBench(report))
  })
}
