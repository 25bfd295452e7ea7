import { benchKmeans, formatKmeansBench } from '../bench/kmeans.js'
import { benchPipeline, formatPipelineBench } from '../bench/pipeline.js'
import { runCommand, type SharedOptions } from './run.js'

interface BenchOptions extends SharedOptions {
  count?: number
  rounds?: number
}

/** This machine's figures. */
export async function benchCommand(what: 'kmeans' | 'pipeline', options: BenchOptions): Promise<void> {
  await runCommand(options, async ({ progress, result }) => {
    const { count, rounds, threads } = options
    const given = {
      ...(count === undefined ? {} : { count }),
      ...(rounds === undefined ? {} : { rounds }),
      ...(threads === undefined ? {} : { threads }),
    }
    if (what === 'pipeline') {
      const report = await benchPipeline(given)
      return result(report, formatPipelineBench(report))
    }
    const report = await benchKmeans(given, (array) => progress.log(`array ${array}`))
    result(report, formatKmeansBench(report))
  })
}
