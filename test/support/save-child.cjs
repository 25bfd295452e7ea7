// A process that saves on command: one JSON line in, one out. `node save-child.cjs <built save.js>`; see save-process.ts.
const fs = require('node:fs')
const readline = require('node:readline')
const { saveFile, saveFileSync } = require(process.argv[2])

/** `bytes` bytes, all of one value, in chunks. */
function* chunks(bytes, chunk, value) {
  for (let at = 0; at < bytes; at += chunk) yield new Uint8Array(Math.min(chunk, bytes - at)).fill(value)
}

async function serve(line) {
  const { mode, target, bytes, chunk, value, options } = JSON.parse(line)
  if (mode === 'descriptors') return { ok: true, descriptors: fs.readdirSync('/proc/self/fd').length }
  try {
    const source = chunks(bytes, chunk, value)
    const saved = mode === 'sync' ? saveFileSync(target, source, options) : await saveFile(target, source, options)
    return { ok: true, saved }
  } catch (error) {
    return { ok: false, code: error.code, errno: error.cause?.code, message: error.message }
  }
}

async function main() {
  process.stdout.write(`${JSON.stringify({ ready: process.pid })}\n`)
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await serve(line))}\n`)
  }
}

main()
