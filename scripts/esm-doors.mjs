// Writes the ES-module doors beside the CommonJS ones: re-exports by name, so that both worlds share one class identity.
import { chmodSync, copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { root } from './support.mjs'

const require = createRequire(import.meta.url)
for (const door of ['index', 'retrain/index', 'tfjs/index', 'web/index']) {
  const cjs = path.join(root, 'dist', `${door}.js`)
  if (!existsSync(cjs)) continue
  const names = Object.keys(require(cjs)).filter((name) => name !== 'default' && name !== '__esModule')
  const file = path.basename(door)
  writeFileSync(
    path.join(root, 'dist', `${door}.mjs`),
    `import door from './${file}.js'\nexport const { ${names.join(', ')} } = door\n`,
  )
  copyFileSync(path.join(root, 'dist', `${door}.d.ts`), path.join(root, 'dist', `${door}.d.mts`))
}
// The browser's modules are real ones (a wrapper around CommonJS runs in Node only); their imports have names ending in .js.
writeFileSync(path.join(root, 'dist/web/browser/package.json'), '{ "type": "module" }\n')
const cli = path.join(root, 'dist/cli.js')
if (existsSync(cli)) chmodSync(cli, 0o755)
writeFileSync(path.join(root, 'dist/.built'), '')
