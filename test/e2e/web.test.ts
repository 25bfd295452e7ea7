import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { openArchive } from '../../src/web'
import { GOLDEN, golden } from '../support/dcz'

/**
 * `deep-compression/web` where it is meant to run: the built modules, unbundled, in a real browser. dist/ is built by `npm test`
 * before jest. Values are compared with the hashes that the golden files were made with, damaged files with the answers in Node.
 */

const BUILT = path.resolve(__dirname, '../../dist/web/browser')
const CANDIDATES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const executablePath = CANDIDATES.find((candidate) => candidate && existsSync(candidate))
const expected = JSON.parse(readFileSync(path.join(GOLDEN, 'decoded.json'), 'utf8')) as Record<
  string,
  Record<string, string>
>

const hashesOf = (name: string) => Object.entries(expected[name]!).sort()

function modules(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .filter((name) => statSync(name).isFile() && name.endsWith('.js'))
}

describe('the modules for browsers', () => {
  test('1. import each other by relative names only, and name nothing of Node', () => {
    const files = modules(BUILT)
    expect(files.length).toBeGreaterThanOrEqual(8)
    for (const file of files) {
      const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
      const imported = [...code.matchAll(/\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g)].map(
        (match) => match[1] ?? match[2]!,
      )
      for (const name of imported) {
        expect(name).toMatch(/^\.{1,2}\//)
        expect(existsSync(path.resolve(path.dirname(file), name))).toBe(true)
      }
      expect(code).not.toMatch(/\brequire\s*\(|\bprocess\.|\bBuffer\b|\b__dirname\b|\bsetImmediate\b|node:/)
    }
  })

  test('2. are what the package names for browsers', () => {
    const { exports } = JSON.parse(readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8'))
    expect(Object.keys(exports['./web'])[0]).toBe('browser')
    expect(existsSync(path.resolve(__dirname, '../..', exports['./web'].browser.default))).toBe(true)
    expect(JSON.parse(readFileSync(path.join(BUILT, 'package.json'), 'utf8'))).toEqual({ type: 'module' })
  })
})

const PAGE = `<!doctype html><script type="module">
import * as door from '/web/index.js'
globalThis.door = door
</script>`

interface Answer {
  /** By name: an object would lose `__proto__` on its way out of the page. */
  hashes?: [string, string][]
  code?: string
  offset?: number | null
}

/** Runs in the page: every tensor of a file as SHA-256 of its bytes, or the error. `name`: fetched; else bytes in base64. */
async function decodeInPage(given: { name?: string; bytes?: string; asBuffer?: boolean }): Promise<Answer> {
  const { openArchive, isDeepCompressionError } = (globalThis as unknown as { door: typeof import('../../src/web') })
    .door
  try {
    const bytes = given.name
      ? new Uint8Array(await (await fetch(`/golden/${given.name}`)).arrayBuffer())
      : Uint8Array.from(atob(given.bytes!), (letter) => letter.charCodeAt(0))
    const archive = openArchive(given.asBuffer ? bytes.buffer : bytes)
    archive.verify()
    const hashes: [string, string][] = []
    for (const [name, values] of archive.decodeAll()) {
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', values))
      hashes.push([name, Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')])
    }
    return { hashes: hashes.sort() }
  } catch (error) {
    if (!isDeepCompressionError(error)) throw error
    return { code: error.code, offset: error.offset ?? null }
  }
}

function decodeInNode(bytes: Uint8Array): Answer {
  try {
    openArchive(bytes).verify()
    return { code: 'ok' }
  } catch (error) {
    const { code, offset } = error as { code: string; offset?: number }
    return { code, offset: offset ?? null }
  }
}

/** Why there is no browser to test in; null where one starts. */
function noBrowser(): string | null {
  if (!executablePath) return 'no Chromium here (Debian: apt-get install chromium; or CHROMIUM=its path)'
  const empty = ['--headless', '--no-sandbox', '--disable-gpu', '--dump-dom', 'about:blank']
  const done = spawnSync(executablePath, empty, { encoding: 'utf8', timeout: 120000 })
  if (done.status === 0 && done.stdout.includes('<html>')) return null
  const why = done.error?.message ?? `${done.signal ?? `exit ${done.status}`}: ${done.stderr.trim().slice(-500)}`
  return `${executablePath} does not start: ${why}`
}

const cannot = noBrowser()
if (cannot !== null) console.log(`test/e2e/web.test.ts: skipped: ${cannot}`)

;(cannot === null ? describe : describe.skip)('in Chromium', () => {
  let server: Server
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    server = createServer((request, response) => {
      const { pathname } = new URL(request.url!, 'http://here')
      const [folder, within] = pathname.startsWith('/golden/')
        ? [GOLDEN, pathname.slice('/golden/'.length)]
        : [BUILT, pathname.slice(1)]
      const file = path.join(folder, within)
      if (pathname === '/') {
        response.setHeader('Content-Type', 'text/html').end(PAGE)
      } else if (file.startsWith(folder) && existsSync(file)) {
        response.setHeader('Content-Type', file.endsWith('.js') ? 'text/javascript' : 'application/octet-stream')
        response.end(readFileSync(file))
      } else {
        response.writeHead(404).end()
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'], timeout: 120000 })
    page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    await page.waitForFunction('globalThis.door !== undefined', undefined, { timeout: 60000 })
  }, 180000)

  afterAll(async () => {
    await browser?.close()
    await new Promise((resolve) => server.close(resolve))
  }, 60000)

  test('3. every golden file, fetched: the values it was made from', async () => {
    for (const name of Object.keys(expected)) {
      expect([name, await page.evaluate(decodeInPage, { name })]).toEqual([name, { hashes: hashesOf(name) }])
    }
  }, 120000)

  test('4. bytes and an ArrayBuffer are taken alike', async () => {
    const bytes = Buffer.from(golden('planes.dcz')).toString('base64')
    for (const asBuffer of [false, true]) {
      expect(await page.evaluate(decodeInPage, { bytes, asBuffer })).toEqual({ hashes: hashesOf('planes.dcz') })
    }
  })

  test('5. a damaged file has the code and the place that it has in Node', async () => {
    const good = golden('half-codebook.dcz')
    const codes = new Set<string>()
    for (const length of [0, 1, 7, 63, 64, good.length - 1]) {
      const file = good.slice(0, length)
      const answer = await page.evaluate(decodeInPage, { bytes: Buffer.from(file).toString('base64') })
      expect([length, answer]).toEqual([length, decodeInNode(file)])
      codes.add(answer.code!)
    }
    for (let at = 0; at < good.length; at += 5) {
      const file = good.slice()
      file[at]! ^= 1 << (at % 8)
      const answer = await page.evaluate(decodeInPage, { bytes: Buffer.from(file).toString('base64') })
      expect([at, answer]).toEqual([at, decodeInNode(file)])
      codes.add(answer.code!)
    }
    expect([...codes].sort()).toEqual(['ERR_DC_CHECKSUM', 'ERR_DC_MAGIC', 'ERR_DC_TRUNCATED'])
  }, 120000)
})
