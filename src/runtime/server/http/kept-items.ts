import { createHash } from 'node:crypto';
import { ByNamespace } from '../../routing/by-namespace.ts';
import type { RequestContext } from '../../routing/request.ts';
import { type InputItem, readItem } from '../fields/responses.ts';

/** Bytes of memory that all items together may take. */
const maxBytes = 16 << 20;

/** A text as UTF-16, and what the table takes besides. */
const bytesOf = (text: string): number => 2 * text.length + 512;

/** Who may refer to an item. */
type Whose = Pick<RequestContext, 'namespace' | 'caller' | 'tenant' | 'user'>;

/** Short, whatever a caller calls its users. */
const nameOf = ({ caller, tenant, user }: Whose, id: string): string =>
  createHash('sha256')
    .update(JSON.stringify([caller, tenant, user, id]))
    .digest('base64url');

/**
 * Items of the last answers of this runtime, by which a later request may refer to them.
 *
 * Guarantees: an item is found by the credential, tenant and user to whom it was answered, and by nobody else; all of them take at
 * most `maxBytes`, and what is too much leaves at the cost of the namespace that has most, its oldest first. Nothing is written to a disk.
 */
export class KeptItems {
  readonly #items = new ByNamespace<string>(maxBytes, bytesOf);

  /** `items`: as an output has them. */
  keep(whose: Whose, items: readonly { readonly id: string }[]): void {
    for (const item of items)
      this.#items.set(whose.namespace, nameOf(whose, item.id), JSON.stringify(readItem(item)));
  }

  get(whose: Whose, id: string): InputItem | undefined {
    const text = this.#items.get(whose.namespace, nameOf(whose, id));
    return text === undefined ? undefined : (JSON.parse(text) as InputItem);
  }
}
