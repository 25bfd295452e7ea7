import { isDeepCompressionError } from '../errors.js'
import { clean, describeError, EXIT, errorLine, exitCodeOf } from './exit-code.js'
import { openInput } from './open.js'
import { print, runCommand, type SharedOptions } from './run.js'

/** Everything: structure, every checksum, every tensor decoded. A damaged file ends in exit code 3 and the section's name. */
export async function verifyCommand(input: string, options: SharedOptions): Promise<void> {
  await runCommand(options, async ({ job, progress, result }) => {
    let tensors = 0
    try {
      const archive = await openInput(input, job.signal!)
      try {
        tensors = archive.tensors.size
        await archive.verify(job)
      } finally {
        archive.dispose()
      }
    } catch (error) {
      if (!isDeepCompressionError(error) || exitCodeOf(error) !== EXIT.damaged) throw error
      progress.clear()
      const section = (error as { section?: string }).section
      if (options.json) result({ file: input, ok: false, error: describeError(error) }, '')
      else print(`${clean(input)}: damaged: ${section ? `${clean(section)}: ` : ''}${errorLine(error)} [${error.code}]`)
      return EXIT.damaged
    }
    result(
      { file: input, ok: true, tensors },
      `${clean(input)}: ok, ${tensors} ${tensors === 1 ? 'tensor' : 'tensors'}`,
    )
    return EXIT.ok
  })
}
