import { runCommand, type SharedOptions } from './run.js'

interface DemoOptions {
  net: 'lenet-300-100' | 'lenet-5'
  seed: number
  output?: string | undefined
  log: (message: string) => void
}

interface DemoModule {
  runDemo(options: DemoOptions, job: object): Promise<object>
  formatDemo(result: object): string
}

export async function demoCommand(options: SharedOptions & DemoOptions): Promise<void> {
  await runCommand(options, async ({ job, progress, result }) => {
    // Loaded here: TensorFlow and MNIST are for this command alone.
    const { runDemo, formatDemo } = require('../demo/demo.js') as DemoModule
    const { net, seed, output } = options
    const demo = await runDemo({ net, seed, output, log: (message) => progress.log(message) }, job)
    result(demo, formatDemo(demo))
  })
}
