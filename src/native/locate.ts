import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { NativeBinding } from './binding.js'

/** What the addon says of itself. */
export interface NativeSelfDescription {
  cpuLevel: string
  detectedCpuLevel: string
  allocatedBlocks: number
  statuses: string[]
}

/** Where the addon came from, or why there is none. */
export interface Located {
  binding: NativeBinding | null
  path: string | null
  reason: string
}

const packageRoot = path.resolve(__dirname, '../..')

function libcSuffix(): string {
  if (process.platform !== 'linux') return ''
  const header = (process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined)?.header
  return header?.glibcVersionRuntime ? '' : '-musl'
}

function candidates(): string[] {
  const forced = process.env.DEEP_COMPRESSION_NATIVE
  if (forced) return [path.resolve(forced)]
  return [
    path.join(packageRoot, 'build/Release/deep_compression.node'),
    path.join(packageRoot, `prebuilds/${process.platform}-${process.arch}${libcSuffix()}.node`),
    path.join(packageRoot, 'native/build/Release/deep_compression.node'),
  ]
}

/**
 * Finds and loads the addon: `DEEP_COMPRESSION_NATIVE` (a path; `0` means none) -> build/Release -> prebuilds.
 * Every error met on the way is in `reason`.
 */
export function locate(): Located {
  if (process.env.DEEP_COMPRESSION_NATIVE === '0') {
    return { binding: null, path: null, reason: 'DEEP_COMPRESSION_NATIVE=0 asks for the TypeScript reader' }
  }
  const load = createRequire(__filename)
  const met: string[] = []
  for (const candidate of candidates()) {
    if (!existsSync(candidate)) {
      met.push(`${candidate}: not there`)
      continue
    }
    try {
      return { binding: load(candidate) as NativeBinding, path: candidate, reason: 'loaded' }
    } catch (error) {
      met.push(`${candidate}: ${(error as Error).message}`)
    }
  }
  return {
    binding: null,
    path: null,
    reason: `no addon for ${process.platform}-${process.arch}${libcSuffix()} could be loaded (${met.join('; ')})`,
  }
}
