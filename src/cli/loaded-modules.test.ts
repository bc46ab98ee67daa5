import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfFile } from '../../test/support/temporary-folder.ts';

const main = join(import.meta.dirname, 'main.ts');

/** Writes the address of each module that is loaded to a file: a pipe is full while its reader waits for the processor, and Node's do not block. */
const hookOf = (file: string): string => `import { registerHooks } from 'node:module';
import { appendFileSync } from 'node:fs';
registerHooks({ load: (url, context, next) => (appendFileSync(${JSON.stringify(file)}, url + '\\n'), next(url, context)) });`;

/** Modules that a program has loaded when it fails at its data folder. */
const loadedBy = (...args: readonly string[]): readonly string[] => {
  const file = join(folderOfFile(), 'loaded');
  const preload = `data:text/javascript,${encodeURIComponent(hookOf(file))}`;
  const { stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--import', preload, main, ...args],
    { encoding: 'utf8', env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: '' } },
  );
  expect(stderr).toContain('--data-dir');
  return readFileSync(file, 'utf8').split('\n');
};

describe('the main process of a node', () => {
  const loaded = loadedBy('serve', '--model', '/nowhere', '--data-dir', '/dev/null/data');

  it('has loaded what it serves with', () => {
    expect(loaded.some((url) => url.endsWith('/src/runtime/runtime.ts'))).toBe(true);
    expect(loaded.some((url) => url.includes('/node_modules/@grpc/grpc-js/'))).toBe(true);
  });

  it.each([
    ['the client of the API server', '/node_modules/@kubernetes/client-node/'],
    ['a second HTTP client', '/node_modules/undici/'],
    ['the exporter of spans', '/node_modules/@opentelemetry/exporter-trace-otlp-http/'],
    ['the SDK of spans', '/node_modules/@opentelemetry/sdk-trace/'],
    ['ONNX Runtime', '/node_modules/onnxruntime-node/'],
    ['the calls of native libraries', '/node_modules/koffi/'],
    ['tokenizers', '/node_modules/@huggingface/tokenizers/'],
    ['tables for a terminal', '/node_modules/cli-table3/'],
    ['code of the operator', '/src/operator/'],
    ['code for the API server', '/src/kube/'],
    ['code of the engine process', '/src/runtime/engine/ort/'],
  ])('holds nothing of %s', (_, part) => {
    expect(loaded.filter((url) => url.includes(part))).toEqual([]);
  });
});
