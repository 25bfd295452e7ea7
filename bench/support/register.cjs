// Lets node run the TypeScript of src/ and bench/ as it is: `node -r ./bench/support/register.cjs bench/prune.bench.ts`.
const { readFileSync, existsSync } = require('node:fs')
const Module = require('node:module')
const path = require('node:path')
const { transformSync } = require('@swc/core')

const resolve = Module._resolveFilename
Module._resolveFilename = function (request, parent, ...rest) {
  if (/^\.{1,2}\/.*\.js$/.test(request) && parent?.filename?.endsWith('.ts')) {
    const source = path.resolve(path.dirname(parent.filename), `${request.slice(0, -3)}.ts`)
    if (existsSync(source)) return source
  }
  return resolve.call(this, request, parent, ...rest)
}
Module._extensions['.ts'] = (module, filename) => {
  const { code } = transformSync(readFileSync(filename, 'utf8'), {
    filename,
    jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
    module: { type: 'commonjs' },
    sourceMaps: 'inline',
  })
  module._compile(code, filename)
}
