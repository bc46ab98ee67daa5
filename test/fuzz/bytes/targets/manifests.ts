import { Readable } from 'node:stream';
import { parseManifests } from '../../../../src/api/parse.ts';
import { manifestWarnings } from '../../../../src/api/warnings.ts';
import { readWatchStream } from '../../../../src/kube/client/watch-stream.ts';
import { askHttp } from '../../../../src/measurement/http-json.ts';
import { askPrometheus } from '../../../../src/measurement/prometheus.ts';
import { inject } from '../../../../src/operator/injection/patch.ts';
import { readReview } from '../../../../src/operator/injection/review.ts';
import { aPod, aSidecar } from '../../../../src/operator/injection/sidecar.fixture.ts';
import { operatorSettingsSchema } from '../../../../src/operator/settings.ts';
import { canonicalJson } from '../../../../src/plan/canonical.ts';
import { settingsSchema } from '../../../../src/runtime/config/settings.ts';
import { readSettings } from '../../../../src/settings/settings.ts';
import { FakeClock } from '../../../../src/time/fake-clock.ts';
import { filesAt, jsonTexts, texts } from '../examples.ts';
import { nest, words } from '../mutators/bytes.ts';
import { json } from '../mutators/json.ts';
import { must, type Target, textOf } from '../target.ts';

const apiVersion = 'adaptlet.io/v1alpha1';

const manifest: Target = {
  name: 'manifest-yaml',
  reads: 'src/api/parse.ts',
  examples: () => [
    ...filesAt(
      'examples/adapter-oci.yaml',
      'examples/adapter-path.yaml',
      'examples/rollout-canary.yaml',
      'examples/route-header-user-tenant.yaml',
      'examples/first/shout.yaml',
    ),
    ...texts('a: &x [1]\nb: *x\n', '%YAML 1.1\n---\na: !!binary aGk=\nb: 2001-12-14t21:59:43.10-05:00\n'),
  ],
  mutators: [
    nest('[', ']'),
    nest('- ', ''),
    nest('? ', ''),
    words([
      '\n',
      '  ',
      '- ',
      ': ',
      '? ',
      '---\n',
      '...\n',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '<<: *a\n',
      '!!binary ',
      '!!set ',
      '!!omap ',

      '%YAML 1.1\n---\n',
      '"',
      "'",
      '|\n',
      '>-\n',
      '# ',
      '\t',
      '.inf',
      '.nan',
      '0o7',
      '1e400',
      '9007199254740993',
      'null',
      '~',

      '__proto__: ',
      'constructor: ',
      'spec: ',
      'kind: Adapter\n',
      `apiVersion: ${apiVersion}\n`,
      '\u0000',
      '\ufeff',
      '\u2028',
    ]),
  ],
  // The tree of a text of nothing but structure takes hundreds of times its bytes; files have at most 1 MiB.
  maxBytes: 192 * 1024 * 1024,
  codes: [],
  run: (bytes) => {
    const { documents, problems } = parseManifests(textOf(bytes), 'f.yaml', { defaultNamespace: 'default' });
    for (const { line, reason } of problems)
      must(line >= 1 && reason.length < 2000, `line ${line}: ${reason}`);
    for (const { manifest: read } of documents) {
      const { kind, metadata, spec } = read;
      manifestWarnings(read);
      const written = JSON.stringify({ apiVersion, kind, metadata, spec });
      const again = parseManifests(written, 'f.json', { defaultNamespace: 'default' });
      must(again.problems.length === 0, `written again: ${again.problems[0]?.reason}`);
      must(
        canonicalJson(again.documents[0]?.manifest) === canonicalJson(read),
        'written again, it is another object',
      );
    }
    return `${Math.min(documents.length, 4)} documents ${problems[0]?.reason.replaceAll(/"[^"]*"|\d+/g, '') ?? ''}`;
  },
};

/** Lines `name=value`, as flags or variables of `serve` and `operator`. */
const settings: Target = {
  name: 'settings',
  reads: 'src/settings, runtime/config/settings.ts, operator/settings.ts',
  examples: () =>
    texts(
      'model=/m\ngrpcListen=127.0.0.1:9000\nadapterMemory=256Mi\nlabels=a=b,c=d\negressAllow=10.0.0.0/8,*.example:443\nthreads=2',
      'model=oci://registry.example/a:b\nkvMemory=auto\nrequestTimeout=30\npooling=mean\nspeculation=auto\nmaxRank=64',
      'namespace=a\nlisten=0.0.0.0:9443\nnodeLabels=topology.kubernetes.io/*\negressDeny=fe80::/10\nleaseDuration=20s',
    ),
  mutators: [
    words([
      '=',
      '\n',
      ',',
      ':',
      '/',
      '*',
      'auto',
      '1e9',
      '-1',
      '0x10',
      '9007199254740993',
      'Gi',
      'h',
      '[::',
      ']',
      '::ffff:1.2.3.4',
      '',
    ]),
  ],
  codes: ['CONFIG_INVALID'],
  run: (bytes) => {
    const given = Object.fromEntries(
      textOf(bytes)
        .split('\n')
        .flatMap((line) => {
          const at = line.indexOf('=');
          return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
        }),
    ) as Record<string, string>;
    JSON.stringify(readSettings(operatorSettingsSchema, given, {}));
    JSON.stringify(readSettings(settingsSchema, { model: '/m', dataDir: '/d', ...given }, {}));
    return '';
  },
};

const review = {
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'u',
    namespace: 'team-a',
    operation: 'CREATE',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    object: aPod(
      { volumes: [{ name: 'v' }], initContainers: [{ name: 'i' }] },
      { 'adaptlet.io/adapter-memory': '512Mi' },
    ),
  },
};

const admission: Target = {
  name: 'admission-review',
  reads: 'src/operator/injection/review.ts, patch.ts',
  examples: () => jsonTexts(review),
  mutators: [json],
  codes: [],
  run: (bytes) => {
    const asked = readReview(textOf(bytes));
    if ('problem' in asked) return 'problem';
    const injection = inject(asked.pod, aSidecar);
    if (injection.kind !== 'Injected') return injection.kind;
    for (const { op, path } of injection.operations)
      must(op === 'add' && path.startsWith('/spec/'), `${op} ${path}`);
    JSON.stringify(injection.operations);
    return injection.kind;
  },
};

const variables = { namespace: 'team-a', rollout: 'sql' };
const signal = new AbortController().signal;
const answers =
  (bytes: Uint8Array): typeof fetch =>
  async () =>
    new Response(Buffer.from(bytes), { headers: { 'content-type': 'application/json' } });

const metric: Target = {
  name: 'metric-answer',
  reads: 'src/measurement',
  examples: () =>
    jsonTexts(
      { status: 'success', data: { resultType: 'vector', result: [{ metric: {}, value: [1, '0.5'] }] } },
      { status: 'success', data: { resultType: 'scalar', result: [1, 'NaN'] } },
      { status: 'error', errorType: 'bad_data', error: 'x' },
      { scores: [{ value: '1e3' }] },
    ),
  mutators: [json],
  codes: ['METRIC_UNREADABLE', 'METRIC_UNAVAILABLE'],
  run: async (bytes) => {
    const fetcher = answers(bytes);
    const source = { url: 'https://scores.example/v1', jsonPath: '$.scores[0].value' };
    const scored = await askHttp(fetcher, source, variables, signal, 'Bearer secret').catch(
      (error: unknown) => error,
    );
    if (typeof scored === 'number') return 'number';
    const value = await askPrometheus(
      fetcher,
      { address: 'http://prometheus.example', query: 'up' },
      variables,
      signal,
    );
    must(typeof value === 'number', 'no number');
    return 'value';
  },
};

const watch: Target = {
  name: 'watch-stream',
  reads: 'src/kube/client/watch-stream.ts',
  examples: () =>
    texts('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":"BOOKMARK","object":{}}\n'),
  mutators: [json, words(['\n', '{}\n', '\r\n', '\ud83d\ude00', '"', '\\u0000'])],
  codes: ['KUBE_UNAVAILABLE'],
  run: async (bytes) => {
    const whole = Buffer.from(bytes);
    const half = Math.floor(whole.length / 2);
    const stream = Readable.from([whole.subarray(0, half), whole.subarray(half)]);
    const call = { method: 'GET', path: '/x' };
    let count = 0;
    for await (const _ of readWatchStream(stream, {
      call,
      clock: new FakeClock(),
      silentMs: 1000,
      maxLineBytes: 4096,
    }))
      count++;
    return `${Math.min(count, 4)}`;
  },
};

export const manifestTargets: readonly Target[] = [manifest, settings, admission, metric, watch];
