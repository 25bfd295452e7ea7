// npm run demo: from a fresh clone to the paper's table. Builds what is stale, sets TensorFlow up, runs `deepcompress demo`.
import { buildJavaScript, buildNative } from './build.mjs'
import { run } from './support.mjs'

buildNative()
buildJavaScript()
run(process.execPath, ['scripts/setup-tfjs.mjs'])
run(process.execPath, ['dist/cli.js', 'demo', ...process.argv.slice(2)])
