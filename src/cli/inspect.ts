import { formatReport } from '../report.js'
import { clean } from './exit-code.js'
import { openInput } from './open.js'
import { runCommand, type SharedOptions } from './run.js'

/** Header only: what the file says of its tensors, in bytes that are really there. */
export async function inspectCommand(input: string, options: SharedOptions): Promise<void> {
  await runCommand(options, async ({ job, result }) => {
    const archive = await openInput(input, job.signal!)
    try {
      const report = archive.report()
      const metadata = [...archive.metadata]
      const pairs = metadata.map(([key, value]) => `${clean(key)} = ${clean(shorten(value))}`)
      const layers = report.layers.map((layer) => ({ ...layer, name: clean(layer.name) }))
      result({ file: input, ...report, metadata }, [formatReport({ ...report, layers }), ...pairs].join('\n'))
    } finally {
      archive.dispose()
    }
  })
}

function shorten(value: string): string {
  return value.length > 60 ? `${value.slice(0, 60)}... (${value.length} characters)` : value
}
