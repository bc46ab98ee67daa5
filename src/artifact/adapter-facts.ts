/** What adapter_config.json says of an adapter to somebody who has not the weights. */
export type AdapterFacts = {
  readonly format: 'peft';
  /** In the words of PEFT, in small letters: lora, dora, ia3. */
  readonly kind?: string;
  readonly baseModel?: string;
  readonly rank?: number;
  readonly targets?: string | readonly string[];
  readonly task?: string;
};

const kindOf = (type: unknown, isDora: unknown): string | undefined => {
  if (typeof type !== 'string' || !/^\w{1,32}$/.test(type)) return undefined;
  const kind = type.toLowerCase();
  return kind === 'lora' && isDora === true ? 'dora' : kind;
};

/** Of the text of an adapter_config.json. One that cannot be read says nothing: to refuse it is for the compiler. */
export const adapterFacts = (text: string): AdapterFacts => {
  let fields: Readonly<Record<string, unknown>> = {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) fields = { ...value };
  } catch {
    fields = {};
  }
  const { base_model_name_or_path: baseModel, r: rank, target_modules: targets, task_type: task } = fields;
  const kind = kindOf(fields['peft_type'], fields['use_dora']);
  return {
    format: 'peft',
    ...(kind === undefined ? {} : { kind }),
    ...(typeof baseModel === 'string' ? { baseModel } : {}),
    ...(typeof rank === 'number' ? { rank } : {}),
    ...(Array.isArray(targets) ? { targets: targets.filter((each) => typeof each === 'string').sort() } : {}),
    ...(typeof targets === 'string' ? { targets } : {}),
    ...(typeof task === 'string' ? { task } : {}),
  };
};

/** What is longer is left out: it would be read with every manifest. */
const maxAnnotationLength = 4096;

/** What ModelPack has no word for, as annotations of a manifest. */
export const adapterAnnotations = ({
  kind,
  baseModel,
  format,
  rank,
  targets,
}: AdapterFacts): Readonly<Record<string, string>> => {
  const values = {
    'adaptlet.io/kind': kind,
    'adaptlet.io/base-name': baseModel,
    'adaptlet.io/format': format,
    'adaptlet.io/rank': rank === undefined ? undefined : String(rank),
    'adaptlet.io/targets': typeof targets === 'string' ? targets : targets?.join(','),
  };
  return Object.fromEntries(
    Object.entries(values).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1].length <= maxAnnotationLength,
    ),
  );
};
