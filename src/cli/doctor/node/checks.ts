import { problemsOf } from '../../status.ts';
import type { nodeFindings } from '../catalogue.ts';
import { beginsAt, certificatesIn, dayOf, endsAt } from '../certificates.ts';
import { type Finding, ok, problem, warning } from '../finding.ts';
import { isNotTrusted } from '../handshake.ts';
import type { NodeFacts } from './facts.ts';
import { token } from './token-check.ts';

/** Share of a disk, and bytes, below which it is nearly full: adapters have a few to some hundred megabytes. */
const fullShare = 0.05;
const fullBytes = 512 << 20;
/** Milliseconds of difference from which on tokens and certificates may not be valid yet. */
const skewMs = 60_000;

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

const runtime = ({ status, data }: NodeFacts): readonly Finding[] => {
  const id = 'node-runtime';
  if ('value' in status) {
    const { version, engine, baseModel } = status.value;
    return [ok(id, `version ${version}, base model ${baseModel}, engine ${engine}`)];
  }
  const locked =
    data?.isLocked === true ? '; the folder is locked, by a runtime that starts or that hangs' : '';
  const fix =
    'its log says why: kubectl logs of its pod, or journalctl; --data-dir DIR or --admin-listen ADDRESS say where it is';
  return [problem(id, `no runtime answers: ${status.error.what.replace(/^Admin: /, '')}${locked}`, fix)];
};

const own = ({ status }: NodeFacts): readonly Finding[] => {
  const id = 'node-problems';
  if ('error' in status) return [];
  const all = problemsOf(status.value);
  return all.length === 0
    ? [ok(id, 'the runtime says that nothing is wrong')]
    : all.map((what) =>
        problem(
          id,
          what,
          'adaptlet status shows it with what is around it; docs/reference/errors.md has each code',
        ),
      );
};

const dataFolder = ({ data }: NodeFacts): readonly Finding[] => {
  const id = 'node-data-folder';
  if (data === undefined)
    return [warning(id, 'it is not known where it is', 'give --data-dir DIR, or ADAPTLET_DATA_DIR')];
  if ('error' in data.access)
    return [
      problem(
        id,
        data.access.error.what,
        `give it to the user of the runtime: chown 65532:65532 ${data.path} (runtime.data.own of the chart does so)`,
      ),
    ];
  return [ok(id, `${data.path} may be written`)];
};

const disk = ({ data }: NodeFacts): readonly Finding[] => {
  const id = 'node-disk';
  if (data === undefined || 'error' in data.space) return [];
  const { freeBytes, totalBytes } = data.space.value;
  const what = `${mebibytes(freeBytes)} of ${mebibytes(totalBytes)} are free at ${data.path}`;
  if (freeBytes < fullBytes || freeBytes < totalBytes * fullShare)
    return [problem(id, what, 'make room, or give less to adapters: --adapter-disk')];
  return [ok(id, what)];
};

const model = ({ model: source, status }: NodeFacts): readonly Finding[] => {
  const id = 'node-model';
  if (source === undefined)
    return [warning(id, 'it is not known where it is', 'give --model FOLDER, or ADAPTLET_MODEL')];
  if (source.kind === 'registry') {
    const delivery = 'value' in status ? status.value.model : undefined;
    return delivery === undefined
      ? [warning(id, `no runtime says how far ${source.url} is`, 'see node-runtime')]
      : [ok(id, `${source.url}: ${delivery.message === '' ? delivery.state : delivery.message}`)];
  }
  const { path, missing } = source;
  const fix = `put the base model at ${path}: its ONNX file, config.json and tokenizer.json that everybody may read`;
  if ('error' in missing) {
    const { code, what, advice } = missing.error;
    return [problem(id, what, code.startsWith('MODEL_') ? advice : fix)];
  }
  // A graph of plain tensors has no tokenizer.
  if (missing.value.length > 0)
    return [warning(id, `${path} lacks ${missing.value.join(', ')}: it serves plain tensors only`, fix)];
  return [ok(id, path)];
};

const operatorName = ({ operator }: NodeFacts): readonly Finding[] => {
  const id = 'node-operator-name';
  if (operator === undefined) return [ok(id, 'the runtime follows no operator')];
  const { address, addresses } = operator;
  if ('error' in addresses)
    return [
      problem(
        id,
        addresses.error.what,
        'check the DNS of this node and the namespace in the name: --operator (ADAPTLET_OPERATOR)',
      ),
    ];
  return [ok(id, `${address} is ${addresses.value.join(', ')}`)];
};

const operator = ({ operator: asked, now }: NodeFacts): readonly Finding[] => {
  const id = 'node-operator';
  if (asked?.handshake === undefined) return [];
  const { address, handshake } = asked;
  if ('value' in handshake) {
    const { validUntil } = handshake.value;
    return validUntil <= now
      ? [
          problem(
            id,
            `the certificate of ${address} is over since ${dayOf(validUntil)}`,
            'in the cluster: adaptlet doctor, finding serving-certificate',
          ),
        ]
      : [ok(id, `${address} answers, its certificate is accepted until ${dayOf(validUntil)}`)];
  }
  const { what } = handshake.error;
  if (/not yet valid|has expired/i.test(what))
    return [
      problem(
        id,
        `${address} is not trusted: ${what}, by the clock of this node (${dayOf(now)})`,
        'set the clock, if that is wrong: timedatectl, chronyc tracking; in the cluster: adaptlet doctor, finding serving-certificate',
      ),
    ];
  return isNotTrusted(what)
    ? [
        problem(
          id,
          `${address} is not trusted: ${what}`,
          'take ca.crt anew out of the ConfigMap adaptlet-ca of the operator: --operator-ca; in the cluster: adaptlet doctor, finding authority',
        ),
      ]
    : [
        problem(
          id,
          `${address} does not answer: ${what}`,
          'check the network and firewall of this node (TCP, port 9443); in the cluster: adaptlet doctor, finding operator-service',
        ),
      ];
};

const ca = ({ ca: file, now }: NodeFacts): readonly Finding[] => {
  const id = 'node-ca';
  if (file === undefined) return [ok(id, 'none is set')];
  const fix = `the ConfigMap adaptlet-ca of the operator has it: kubectl -n adaptlet-system get configmap adaptlet-ca -o jsonpath='{.data.ca\\.crt}'`;
  if ('error' in file.text) return [problem(id, file.text.error.what, fix)];
  try {
    const last = Math.max(...certificatesIn(file.text.value).map(endsAt));
    if (last === Number.NEGATIVE_INFINITY) return [problem(id, `${file.path} has no certificate`, fix)];
    return last <= now
      ? [problem(id, `${file.path} is over since ${dayOf(last)}`, fix)]
      : [ok(id, `valid until ${dayOf(last)}`)];
  } catch (error) {
    return [
      problem(
        id,
        `${file.path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
        fix,
      ),
    ];
  }
};

/** When the newest authority was made, as far as the file can be read: it cannot be earlier now. */
const madeAt = (file: NodeFacts['ca']): number => {
  try {
    const text = file !== undefined && 'value' in file.text ? file.text.value : '';
    return Math.max(0, ...certificatesIn(text).map(beginsAt));
  } catch {
    // The finding node-ca says so.
    return 0;
  }
};

const clock = ({ operator: asked, ca: file, now }: NodeFacts): readonly Finding[] => {
  const id = 'node-clock';
  const made = madeAt(file);
  if (now < made)
    return [
      problem(
        id,
        `this clock says ${dayOf(now)}, and ${file?.path} was made at ${dayOf(made)}`,
        'set the clock: timedatectl, chronyc tracking; the runtime follows its operator meanwhile',
      ),
    ];
  const handshake = asked?.handshake;
  if (handshake === undefined || 'error' in handshake || handshake.value.theirTime === undefined) return [];
  const differMs = now - handshake.value.theirTime;
  const seconds = Math.round(Math.abs(differMs) / 1000);
  return Math.abs(differMs) > skewMs
    ? [
        problem(
          id,
          `this clock is ${seconds} s ${differMs > 0 ? 'ahead of' : 'behind'} the one of the operator`,
          'set the clock: timedatectl, chronyc tracking',
        ),
      ]
    : [ok(id, 'agrees with the operator')];
};

const provider = ({ providers, wantedProviders, status }: NodeFacts): readonly Finding[] => {
  const id = 'node-provider';
  if ('error' in providers)
    return [
      problem(
        id,
        providers.error.what,
        '--onnx-runtime-library (ADAPTLET_ONNX_RUNTIME_LIBRARY) names the library; docs/reference/execution-providers.md',
      ),
    ];
  const lacking = wantedProviders.filter((entry) => !providers.value.includes(entry.split('?')[0] ?? ''));
  if (lacking.length > 0)
    return [
      problem(
        id,
        `this ONNX Runtime lacks ${lacking.join(', ')}; it has ${providers.value.join(', ')}`,
        'name a library that was built for the device: --onnx-runtime-library; docs/reference/execution-providers.md',
      ),
    ];
  const used = 'value' in status ? status.value.executionProvider : undefined;
  const [first] = wantedProviders;
  if (first !== undefined && used !== undefined && used !== first)
    return [
      warning(
        id,
        `${first} was asked for, ${used} runs`,
        'the log of the runtime says why; --require-provider refuses to start in such a case',
      ),
    ];
  return [ok(id, `${providers.value.join(', ')}${used === undefined ? '' : `; ${used} runs`}`)];
};

const lora = ({ lora: { wish, found, largePages = '', linears = [] } }: NodeFacts): readonly Finding[] => {
  const id = 'node-lora';
  const portable = 'adapters take the portable way: float32 in memory, one adapter a step';
  if (wish === 'off') return [ok(id, `off: ${portable}`)];
  if ('error' in found)
    return [
      warning(
        id,
        found.error.what,
        '--lora-operator auto takes the one of the image or of make native; in a checkout: make native builds it again',
      ),
    ];
  if (found.value === undefined)
    return [
      warning(
        id,
        `the native operator is not there, ${portable}`,
        'make native builds it where a C compiler is, and images have it; --lora-operator PATH names one, off asks for none',
      ),
    ];
  const { path, instructionSet, products } = found.value;
  const possible =
    products === undefined
      ? "have ONNX Runtime's products"
      : `can have its own products, by ${products.levels[0]}`;
  const said = linears.length === 0 ? possible : linears.join('; ');
  const what = `${path} uses ${instructionSet}; linears in int4 and int8 ${said}`;
  // docs/adr/0097: 15 to 18 GB/s in place of 24 to 30.
  return products !== undefined && largePages.includes('[never]')
    ? [
        warning(
          id,
          `${what}, and the system gives no pages of 2 MiB: such linears take up to 1.6 times as long for a token`,
          'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled on this node, then restart the runtime',
        ),
      ]
    : [ok(id, what)];
};

const checks: Readonly<Record<keyof typeof nodeFindings, (facts: NodeFacts) => readonly Finding[]>> = {
  'node-runtime': runtime,
  'node-problems': own,
  'node-data-folder': dataFolder,
  'node-disk': disk,
  'node-model': model,
  'node-operator-name': operatorName,
  'node-operator': operator,
  'node-ca': ca,
  'node-token': token,
  'node-clock': clock,
  'node-provider': provider,
  'node-lora': lora,
};

/** What there is to say of a node. */
export const checkNode = (facts: NodeFacts): readonly Finding[] =>
  Object.values(checks).flatMap((check) => check(facts));
