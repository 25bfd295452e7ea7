import { type DemoOptions, formatDemo, runDemo } from '../demo/demo.js'
import { runCommand, type SharedOptions } from './run.js'

/** Training, compression, and the test of the file, with one line on stderr a stage. */
export async function demoCommand(
  options: SharedOptions & Pick<DemoOptions, 'net' | 'preset' | 'seed' | 'output'>,
): Promise<void> {
  await runCommand(options, async ({ job, progress, result }) => {
    const { net, preset, seed, output } = options
    const given = { net, preset, seed, output, log: (message: string) => progress.log(message) }
    const demo = await runDemo(given as DemoOptions, job)
    result(demo, formatDemo(demo))
  })
}
