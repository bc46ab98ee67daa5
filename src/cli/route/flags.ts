import { type Command, InvalidArgumentError, Option } from 'commander';
import { rights as allRights, type Right } from '../../api/policy.ts';
import { type Asked, readRequests, withRights } from './asked.ts';

/** Flags of {@link withRequest}. */
export type RequestOptions = {
  readonly model?: string;
  readonly namespace: string;
  readonly user?: string;
  readonly session?: string;
  readonly tenant?: string;
  readonly header: readonly string[];
  readonly rights?: ReadonlySet<Right>;
  readonly requests?: string;
  readonly output: 'text' | 'json';
};

/** Flags of {@link withManifests}. */
export type ManifestOptions = {
  readonly manifests: readonly string[];
  readonly classifier: readonly string[];
  readonly classifierModel?: string;
};

export const several = (value: string, all: readonly string[]): readonly string[] => [...all, value];

/** Flags of what works on manifests. */
export const withManifests = (command: Command, what: string): Command =>
  command
    .option('-f, --manifests <path>', `${what}; may be repeated`, several, [])
    .option(
      '--classifier <folder>',
      'artifact that a classifier of these manifests names by its digest; may be repeated',
      several,
      [],
    )
    .option('--classifier-model <folder>', 'encoder that onnx classifiers of these manifests run');

const headersOf = (texts: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new Error(`--header ${text}: must be name=value`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );

const rightsOf = (text: string): ReadonlySet<Right> => {
  const names = text === 'none' ? [] : text.split(',').map((name) => name.trim());
  const found = allRights.filter((right) => names.includes(right));
  const foreign = names.find((name) => !found.some((right) => right === name));
  if (foreign !== undefined)
    throw new InvalidArgumentError(`there is no right "${foreign}": ${allRights.join(', ')}, or none`);
  return new Set(found);
};

/** What the command was asked about. */
export const askedOf = async (
  prompt: string | undefined,
  { model, namespace, user, session, tenant, header, rights = new Set(allRights), requests }: RequestOptions,
): Promise<readonly Asked[]> => {
  if (requests === undefined && model === undefined)
    throw new Error('say which model the request names: --model NAME, or --requests FILE');
  const named = namespace === '' ? {} : { namespace };
  const given =
    requests === undefined
      ? [{ model: model ?? '', ...named, headers: headersOf(header), prompt, session }]
      : await readRequests(requests, model);
  return given.map((one) => withRights(one, rights, { user, tenant }));
};

/** Flags of the request that is to be explained. */
export const withRequest = (command: Command): Command =>
  command
    .argument('[prompt]', 'the prompt; without it a prompt of token ids, which has no text')
    .option('-m, --model <name>', 'what the request names: a route, rollout, adapter or the base model')
    .option(
      '-u, --user <id>',
      'id of the end user, where the request does not say it; keeps them on one side of a rollout',
    )
    .option('--tenant <name>', 'for which tenant, where the request does not say it')
    .option('--session <id>', 'id of the conversation; of callers with the right Users')
    .addOption(
      new Option(
        '--rights <names>',
        'rights of the caller as an AdapterPolicy gives them, with commas between, or none; default: all. Without Users its requests have no user, session or tenant but --user and --tenant, without Hints no hint',
      ).argParser(rightsOf),
    )
    .option('-H, --header <name=value>', 'header or metadata; may be repeated', several, [])
    .option(
      '--requests <file>',
      'many requests: a JSON object a line, {"headers": {…}, "body": {…}}, with bodies as OpenAI has them',
    )
    .addOption(
      new Option('-o, --output <form>', 'text, or json: one line a request')
        .choices(['text', 'json'])
        .default('text'),
    );
