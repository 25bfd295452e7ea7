#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander'
import { wholeNumber } from './cli/arguments.js'
import { EXIT } from './cli/exit-code.js'

const { version } = require('../package.json') as { version: string }

/** A reader that has seen enough (head) closes our stdout: that is no failure of ours, and no trace. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.ok)
    throw error
  })
}

function subcommand(program: Command, usage: string, description: string): Command {
  return program
    .command(usage)
    .description(description)
    .option('--json', 'the result as JSON on stdout')
    .option('--quiet', 'no progress on stderr')
    .option('--threads <n>', 'threads at the most', wholeNumber('threads', 1, 64))
    .exitOverride()
}

function build(): Command {
  const program = new Command('deepcompress')
    .description('Makes trained neural networks 10 to 100 times smaller, and reads them back.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(deepcompress help <command> shows its options)')

  subcommand(program, 'demo', 'real training on real MNIST: the whole paper on one screen')
    .addOption(new Option('--net <name>', 'the net').choices(['lenet-300-100', 'lenet-5']).default('lenet-300-100'))
    .option('--seed <n>', 'seed of weights and order', wholeNumber('seed', 0, 2 ** 31 - 1), 1)
    .option('-o, --output <file>', 'file to write (default: <net>.dcz)')
    .action(async (options) => {
      const { demoCommand } = await import('./cli/demo.js')
      await demoCommand(options)
    })
  return program
}

async function main(): Promise<void> {
  try {
    await build().parseAsync(process.argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // Help and version are answers; anything else is wrong usage, already printed by commander.
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  }
}

main()
