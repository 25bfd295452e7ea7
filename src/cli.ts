#!/usr/bin/env node
import { Argument, Command, CommanderError, Option } from 'commander'
import { formats, overrides, wholeNumber } from './cli/arguments.js'
import { EXIT } from './cli/exit-code.js'
import { endQuietlyOnClosedPipe } from './cli/streams.js'

const { version } = require('../package.json') as { version: string }

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

  subcommand(program, 'compress', 'a model file (.safetensors, .npz, .npy, model.json, .net) into one .dcz file')
    .argument('<model>', 'the model, or - for standard input')
    .requiredOption('-o, --output <file>', 'the archive to write, or - for standard output')
    .option('--recipe <file>', 'rules for the tensors, as JSON')
    .option(
      '--density <pattern=share>',
      'share of weights to keep, as in fc*=0.08 (may be repeated)',
      overrides.density,
    )
    .option('--clusters <pattern=count>', 'shared values, as in conv*=256 (may be repeated)', overrides.clusters)
    .addOption(new Option('--format <format>', 'format of the model').choices(formats))
    .option('--layers <file>', 'names and shapes of the layers of a .net file: JSON, or a deploy prototxt')
    .option('--force', 'replace an existing file')
    .action(async (input, options) => {
      const { compressCommand } = await import('./cli/compress.js')
      await compressCommand(input, options)
    })
  subcommand(program, 'decompress', 'an archive back into a model file')
    .argument('<archive>', 'the .dcz file, or - for standard input')
    .requiredOption(
      '-o, --output <file>',
      'the model to write (.safetensors, .npz, .npy, model.json, .net), or - for standard output',
    )
    .addOption(new Option('--format <format>', 'format to write (default: by the extension)').choices(formats))
    .option('--layers <file>', 'layers of the .net file to write, in order (default: those it was made of)')
    .option('--force', 'replace existing files')
    .action(async (input, options) => {
      const { decompressCommand } = await import('./cli/decompress.js')
      await decompressCommand(input, options)
    })
  subcommand(program, 'inspect', 'what an archive holds, from its header: layers, shapes, bits, bytes, ratio')
    .argument('<archive>', 'the .dcz file, or - for standard input')
    .action(async (input, options) => {
      const { inspectCommand } = await import('./cli/inspect.js')
      await inspectCommand(input, options)
    })
  subcommand(program, 'verify', 'checks all of an archive, decoding included; exit 3 when it is damaged')
    .argument('<archive>', 'the .dcz file, or - for standard input')
    .action(async (input, options) => {
      const { verifyCommand } = await import('./cli/verify.js')
      await verifyCommand(input, options)
    })
  subcommand(program, 'bench', "this machine's figures")
    .addArgument(new Argument('[what]', 'what to measure').choices(['kmeans', 'pipeline']).default('kmeans'))
    .option('--count <n>', 'only the first so many weights', wholeNumber('count', 1, 2 ** 31))
    .option('--rounds <n>', 'measured rounds', wholeNumber('rounds', 1, 1000))
    .action(async (what, options) => {
      const { benchCommand } = await import('./cli/bench.js')
      await benchCommand(what, options)
    })
  subcommand(program, 'demo', 'real training on real MNIST: the whole paper on one screen')
    .addOption(new Option('--net <name>', 'the net').choices(['lenet-300-100', 'lenet-5']).default('lenet-300-100'))
    .addOption(
      new Option('--preset <name>', 'default: minutes; smallest: the smallest file at next to no loss, for longer')
        .choices(['default', 'smallest'])
        .default('default'),
    )
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
    if (process.exitCode === EXIT.usage && process.argv.includes('--json')) {
      const message = error.message.replace(/^error: /, '')
      process.stdout.write(`${JSON.stringify({ schemaVersion: 1, error: { code: 'ERR_DC_ARG', message } }, null, 2)}\n`)
    }
  }
}

endQuietlyOnClosedPipe()
main()
