import type { Context } from 'hono';
import type { ObjectKey } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { LoraVerbs } from '../../admin/lora.ts';
import { needRight } from '../../callers/caller.ts';
import { adapterAskedFor, namespaceIn } from '../../routing/names.ts';
import type { ModelCard, Serving } from '../../serving/serving.ts';
import { type Asking, askedNamespace } from '../context.ts';
import { FieldError } from '../fields/field-error.ts';
import { loadLoraFields, unloadLoraFields } from '../fields/lora.ts';
import { reader } from '../fields/parse.ts';
import type { OipParts } from '../oip/oip.ts';
import { askingOf, readJson } from './handler.ts';

const readLoad = reader(loadLoraFields);
const readUnload = reader(unloadLoraFields);

type Subject = { readonly lora: LoraVerbs; readonly key: ObjectKey; readonly isOwn: boolean };

const cardOf = (serving: Serving, namespace: string, name: string): ModelCard | undefined => {
  try {
    return serving.model(namespace, name);
  } catch (error) {
    if (error instanceof AdaptletError && error.code === 'MODEL_NOT_FOUND') return undefined;
    throw error;
  }
};

/**
 * Which Adapter a call is about.
 * @throws FORBIDDEN or UNAUTHENTICATED without the right Lifecycle, before anything is looked up; VERB_REFUSED where it is not
 * turned on, and for a name that something else has; REQUEST_INVALID for one that no Adapter can have
 */
const subjectOf = (name: string, { serving, admin }: OipParts, { headers, caller }: Asking): Subject => {
  const namespace = askedNamespace(headers, caller, namespaceIn(name));
  const grant = needRight(caller, namespace, 'Lifecycle', 'loading and unloading adapters');
  const { lora } = admin;
  if (lora === undefined) {
    throw new AdaptletError('VERB_REFUSED', 'requests load no adapters on this node', {
      advice: 'Start the runtime with --lora-loading true, or apply an Adapter.',
    });
  }
  const key = adapterAskedFor(namespace, name);
  if (key === undefined) {
    throw new FieldError(
      'REQUEST_INVALID',
      `lora_name ${quoteUntrusted(name)} is no name of an Adapter: lower-case letters, digits, "-" and "."`,
      'lora_name',
    );
  }
  const card = cardOf(serving, namespace, name);
  if (card !== undefined && card.kind !== 'adapter') {
    throw new AdaptletError('VERB_REFUSED', `${quoteUntrusted(name)} is the name of a ${card.kind} here`, {
      advice: 'Take another name: requests for this one would not come to the adapter.',
    });
  }
  return { lora, key, isOwn: grant.caller !== '' };
};

/** vLLM's `POST /v1/load_lora_adapter`: answers once the adapter serves. */
export const loadLora =
  (parts: OipParts) =>
  async (c: Context): Promise<Response> => {
    const asking = await askingOf(parts, c);
    const { lora_name: name, lora_path: path } = readLoad(await readJson(c));
    const { lora, key } = subjectOf(name, parts, asking);
    await lora.load(key, path, c.req.raw.signal);
    return c.text(`Success: LoRA adapter '${name}' added successfully.`);
  };

/** vLLM's `POST /v1/unload_lora_adapter`. */
export const unloadLora =
  (parts: OipParts) =>
  async (c: Context): Promise<Response> => {
    const asking = await askingOf(parts, c);
    const { lora_name: name } = readUnload(await readJson(c));
    const { lora, key, isOwn } = subjectOf(name, parts, asking);
    // Whoever reaches a loopback port has not said who it is.
    await lora.unload(key, c.req.raw.signal, { evenPinned: isOwn });
    return c.text(`Success: LoRA adapter '${name}' removed successfully.`);
  };
