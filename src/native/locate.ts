import { existsSync } from 'node:fs'
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

function platformName(): string {
  const name = `${process.platform}-${process.arch}`
  if (process.platform !== 'linux') return name
  const header = (process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined)?.header
  return header?.glibcVersionRuntime ? name : `${name}-musl`
}

/**
 * The binary inside the package, or why there is none. Literal paths, so that bundlers take the files along; inside `try`, so that
 * they go on without those that are not there.
 */
function loadPrebuilt(platform: string): NativeBinding | string {
  try {
    switch (platform) {
      case 'linux-x64':
        return require('../../prebuilds/linux-x64.node')
      case 'linux-x64-musl':
        return require('../../prebuilds/linux-x64-musl.node')
      case 'linux-arm64':
        return require('../../prebuilds/linux-arm64.node')
      case 'linux-arm64-musl':
        return require('../../prebuilds/linux-arm64-musl.node')
      case 'darwin-x64':
        return require('../../prebuilds/darwin-x64.node')
      case 'darwin-arm64':
        return require('../../prebuilds/darwin-arm64.node')
      case 'win32-x64':
        return require('../../prebuilds/win32-x64.node')
      default:
        return 'the package brings no binary for it'
    }
  } catch (error) {
    return (error as Error).message
  }
}

function loadFile(file: string): NativeBinding | string {
  if (!existsSync(file)) return 'not there'
  try {
    return require(file)
  } catch (error) {
    return (error as Error).message
  }
}

/** Paths in the order in which they are tried, and how each is loaded. The name of the platform is asked for late: it takes 7 ms. */
function* candidates(): Generator<[file: string, load: (file: string) => NativeBinding | string]> {
  const forced = process.env.DEEP_COMPRESSION_NATIVE
  if (forced) return yield [path.resolve(forced), loadFile]
  yield [path.join(packageRoot, 'build/Release/deep_compression.node'), loadFile]
  const platform = platformName()
  yield [path.join(packageRoot, `prebuilds/${platform}.node`), () => loadPrebuilt(platform)]
  yield [path.join(packageRoot, 'native/build/Release/deep_compression.node'), loadFile]
}

/**
 * Finds and loads the addon: `DEEP_COMPRESSION_NATIVE` (a path; `0` means none) -> build/Release -> prebuilds.
 * Every error met on the way is in `reason`.
 */
export function locate(): Located {
  if (process.env.DEEP_COMPRESSION_NATIVE === '0') {
    return { binding: null, path: null, reason: 'DEEP_COMPRESSION_NATIVE=0 asks for the TypeScript reader' }
  }
  const met: string[] = []
  for (const [file, load] of candidates()) {
    const loaded = load(file)
    if (typeof loaded !== 'string') return { binding: loaded, path: file, reason: 'loaded' }
    met.push(`${file}: ${loaded.split('\n', 1)[0]}`)
  }
  return { binding: null, path: null, reason: `no addon for ${platformName()} could be loaded (${met.join('; ')})` }
}
