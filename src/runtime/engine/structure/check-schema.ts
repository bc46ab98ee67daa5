import { nearest } from '../../../api/nearest.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';

/** What only describes. */
const annotations = new Set(
  (
    'title description default examples $comment readOnly writeOnly deprecated contentMediaType contentEncoding ' +
    'discriminator $anchor'
  ).split(' '),
);
/** What is enforced, by what it holds. */
const plain = new Set(
  (
    'type enum const required minItems maxItems minProperties maxProperties minLength maxLength pattern format minimum ' +
    'maximum exclusiveMinimum exclusiveMaximum multipleOf'
  ).split(' '),
);
const ofMaps = new Set(['properties', 'patternProperties', '$defs', 'definitions']);
const ofLists = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems']);
const ofOne = new Set(['additionalProperties', 'additionalItems']);
const known = [...plain, ...ofMaps, ...ofLists, ...ofOne, 'items', '$ref', '$schema', '$id', ...annotations];

const dialects = [
  'https://json-schema.org/draft/2020-12/schema',
  'https://json-schema.org/draft/2019-09/schema',
  'http://json-schema.org/draft-07/schema',
  'http://json-schema.org/draft-06/schema',
  'http://json-schema.org/draft-04/schema',
];

/** Schemas within schemas, and all of them. */
const limits = { depth: 64, schemas: 10_000 } as const;

type Object_ = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Object_ =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const shownName = (name: string): string => (/^[$\w-]{1,64}$/.test(name) ? name : quoteUntrusted(name));

const refused = (what: string, advice?: string): AdaptletError =>
  new AdaptletError('STRUCTURE_UNSUPPORTED', what, advice === undefined ? {} : { advice });

const tooComplex = (what: string): AdaptletError => new AdaptletError('STRUCTURE_TOO_COMPLEX', what);

/** Characters that JSON writes by their number, which no answer does: llguidance would leave them out. */
const control = '[\\x00-\\x07\\x0b\\x0e-\\x1f\\x7f]';
const withControl = new RegExp(control);
/** The same, or a way to write one in a pattern. */
const number = '(?:[01]?[0-9a-f]|7f)';
const patternWithControl = new RegExp(
  `${control}|\\\\(?:[acev0]|[xu]\\{0*${number}\\}|x[01][0-9a-f]|x7f|u00(?:[01][0-9a-f]|7f))`,
  'i',
);

const checkText = (text: string, path: string): void => {
  if (withControl.test(text)) throw refused(`${path}: control characters are not supported`);
};

const checkPattern = (pattern: string, path: string): void => {
  if (patternWithControl.test(pattern.replaceAll('\\\\', '')))
    throw refused(`${path}: patterns with control characters are not supported`);
};

/** Numbers that JSON text can have and no number here, and control characters. */
const checkValue = (value: unknown, path: string, depth = 0): void => {
  if (depth > limits.depth) throw tooComplex(`${path}: values nest deeper than ${limits.depth}`);
  if (typeof value === 'string') checkText(value, path);
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    throw refused(`${path}: ${value} cannot be told from its neighbours`);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, item] of Object.entries(value)) {
    checkText(name, path);
    checkValue(item, path, depth + 1);
  }
};

/** One schema document, checked as it is walked. */
class Walk {
  readonly #root: unknown;
  /** By path; a reference may lead to where nobody else comes. */
  readonly #seen = new Set<unknown>();

  constructor(root: unknown) {
    this.#root = root;
  }

  schema(value: unknown, path: string, depth: number): void {
    if (typeof value === 'boolean') return;
    if (!isObject(value)) throw refused(`${path} is neither an object nor a boolean`);
    if (this.#seen.has(value)) return;
    this.#seen.add(value);
    if (depth > limits.depth) throw tooComplex(`${path}: schemas nest deeper than ${limits.depth}`);
    if (this.#seen.size > limits.schemas) throw tooComplex(`it has more than ${limits.schemas} schemas`);
    for (const [name, part] of Object.entries(value)) this.#keyword(name, part, { path, depth });
    this.#together(value, path);
  }

  #keyword(name: string, part: unknown, { path, depth }: { readonly path: string; readonly depth: number }) {
    const here = `${path}/${shownName(name)}`;
    const inside = (value: unknown, at: string | number): void =>
      this.schema(value, `${here}/${typeof at === 'number' ? at : shownName(at)}`, depth + 1);
    if (ofOne.has(name)) this.schema(part, here, depth + 1);
    else if (name === 'items' && !Array.isArray(part)) this.schema(part, here, depth + 1);
    else if (ofLists.has(name) || name === 'items') {
      if (!Array.isArray(part)) throw refused(`${here} is no list`);
      for (const [index, one] of part.entries()) inside(one, index);
    } else if (ofMaps.has(name)) {
      if (!isObject(part)) throw refused(`${here} is no object`);
      for (const [key, one] of Object.entries(part)) {
        if (name === 'patternProperties') checkPattern(key, here);
        else checkText(key, here);
        inside(one, key);
      }
    } else if (name === '$ref') this.#reference(part, here, depth);
    else if (name === '$schema' || name === '$id') this.#ofRoot(name, part, path);
    else if (name === 'pattern' && typeof part === 'string') checkPattern(part, here);
    else if (plain.has(name)) checkValue(part, here);
    else if (!annotations.has(name)) throw this.#unknown(name, path);
  }

  #ofRoot(name: string, part: unknown, path: string): void {
    if (path !== '#') throw refused(`${path}: the keyword ${name} is supported at the root alone`);
    if (name !== '$schema') return;
    if (typeof part === 'string' && dialects.includes(part.replace(/#$/, ''))) return;
    throw refused(`$schema is not known`, `Leave it out, or give one of ${dialects.join(', ')}.`);
  }

  #reference(part: unknown, here: string, depth: number): void {
    if (typeof part !== 'string' || !/^#(?:\/|$)/.test(part) || /[~%]/.test(part))
      throw refused(
        `${here}: references other than #/… without ~ and % are not supported`,
        'Put the schema that is meant into $defs, and refer to it by #/$defs/NAME.',
      );
    let target: unknown = this.#root;
    for (const segment of part === '#' || part === '#/' ? [] : part.slice(2).split('/')) {
      const holder = target as Object_ | undefined;
      const isThere = typeof holder === 'object' && holder !== null && Object.hasOwn(holder, segment);
      target = isThere ? holder[segment] : undefined;
    }
    if (target === undefined) throw refused(`${here}: there is no such schema`);
    this.schema(target, part === '#/' ? '#' : part, depth + 1);
  }

  /** What keywords mean together and is not enforced. */
  #together(value: Object_, path: string): void {
    const { required = [], minProperties = 0, prefixItems, additionalItems } = value;
    if (prefixItems !== undefined && additionalItems !== undefined)
      throw refused(`${path}: additionalItems beside prefixItems is not supported`, 'Use items.');
    const sure = Array.isArray(required) ? new Set(required).size : 0;
    // Else a name that comes twice counts as two.
    const closed = value['additionalProperties'] === false && value['patternProperties'] === undefined;
    if (typeof minProperties !== 'number' || minProperties <= sure || closed) return;
    throw refused(
      `${path}: minProperties above the number of required names is not supported beside additional properties`,
    );
  }

  #unknown(name: string, path: string): AdaptletError {
    const [meant] = nearest(name, known);
    const hint = meant === undefined ? '' : `; the nearest one that is, is ${meant}`;
    return refused(`${path}: the keyword ${shownName(name)} is not supported${hint}`);
  }
}

/**
 * Refuses a JSON schema with a keyword that would not be enforced, or that nobody knows, by its name and place. Everything else is
 * what llguidance enforces, or refuses itself.
 * @throws STRUCTURE_UNSUPPORTED, STRUCTURE_TOO_COMPLEX
 */
export const checkSchema = (schema: unknown): void => {
  new Walk(schema).schema(schema, '#', 0);
};
