import type { SectionCheck } from '../archive.js'
import { isDeepCompressionError } from '../errors.js'
import { clean, describeError, EXIT, errorLine, exitCodeOf } from './exit-code.js'
import { openInput } from './open.js'
import { type Run, runCommand, type SharedOptions } from './run.js'

/** Checks structure and every section; damage of the structure ends it, damage of a section does not. */
async function checkAll(
  input: string,
  run: Run,
): Promise<{ sections: SectionCheck[]; tensors: number; error: unknown }> {
  const sections: SectionCheck[] = []
  try {
    const archive = await openInput(input, run.job.signal!)
    const { size } = archive.tensors
    try {
      for await (const check of archive.verifySections(run.job)) sections.push(check)
    } finally {
      archive.dispose()
    }
    return { sections, tensors: size, error: sections.find(({ error }) => error !== null)?.error ?? null }
  } catch (error) {
    if (!isDeepCompressionError(error) || exitCodeOf(error) !== EXIT.damaged) throw error
    return { sections, tensors: 0, error }
  }
}

function line({ section, storedBytes, error }: SectionCheck): string {
  const state = error === null ? 'ok' : `DAMAGED, ${errorLine(error)} [${(error as { code?: string }).code}]`
  return `  ${clean(section)}, ${storedBytes.toLocaleString('en-US')} bytes: ${state}`
}

/** Everything: structure, every checksum, every tensor decoded. A damaged file ends in exit code 3 and the section's name. */
export async function verifyCommand(input: string, options: SharedOptions): Promise<void> {
  await runCommand(options, async (run) => {
    const { sections, tensors, error } = await checkAll(input, run)
    run.progress.clear()
    const ok = error === null
    const listed = sections.map((check) => ({
      section: check.section,
      storedBytes: check.storedBytes,
      ok: check.error === null,
      ...(check.error === null ? {} : { error: describeError(check.error) }),
    }))
    const where = (error as { section?: string } | null)?.section ?? ''
    const reason = errorLine(error)
    const verdict = ok
      ? `ok, ${tensors} ${tensors === 1 ? 'tensor' : 'tensors'}`
      : `damaged: ${reason.startsWith(clean(where)) ? '' : `${clean(where)}: `}${reason} [${(error as { code?: string }).code}]`
    run.result(
      { file: input, ok, tensors, sections: listed, ...(ok ? {} : { error: describeError(error) }) },
      [`${clean(input)}: ${verdict}`, ...sections.map(line)].join('\n'),
    )
    return ok ? EXIT.ok : exitCodeOf(error)
  })
}
