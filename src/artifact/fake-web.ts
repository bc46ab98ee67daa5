/** A request that came. */
export type Asked = { readonly url: string; readonly headers: Headers };

/**
 * Web servers, by the addresses that they have. `fetch` stands in for the network.
 */
export class FakeWeb {
  readonly asked: Asked[] = [];
  /** Bytes of a body after which its connection breaks; asked for each answer. */
  cutAfter: () => number = () => Number.POSITIVE_INFINITY;
  /** Answers in place of what is there, each once. */
  readonly instead: Response[] = [];
  /** Whether Range is understood. */
  knowsRanges = true;
  readonly #files = new Map<string, Uint8Array>();
  readonly #answers = new Map<string, (headers: Headers) => Response>();
  readonly #guards = new Map<string, { readonly header: string; readonly value: string }>();

  /** Has an address serve bytes. */
  put(url: string, bytes: Uint8Array): void {
    this.#files.set(url, bytes);
  }

  /** Has an address give an answer. */
  answer(url: string, answer: (headers: Headers) => Response): void {
    this.#answers.set(url, answer);
  }

  /** From here on an origin wants a header. */
  guard(origin: string, header: string, value: string): void {
    this.#guards.set(origin, { header, value });
  }

  /** What came to an origin. */
  to(origin: string): readonly Asked[] {
    return this.asked.filter(({ url }) => new URL(url).origin === origin);
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const { url, headers } = new Request(input, init);
    this.asked.push({ url, headers });
    const instead = this.instead.shift();
    if (instead !== undefined) return instead;
    const guard = this.#guards.get(new URL(url).origin);
    if (guard !== undefined && headers.get(guard.header) !== guard.value)
      return new Response(null, { status: 401 });
    const answer = this.#answers.get(url);
    if (answer !== undefined) return answer(headers);
    const bytes = this.#files.get(url);
    return bytes === undefined ? new Response(null, { status: 404 }) : this.#bytes(bytes, headers);
  };

  #bytes(bytes: Uint8Array, headers: Headers): Response {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.get('range') ?? '') ?? [];
    const isPart = this.knowsRanges && first !== undefined;
    const from = isPart ? Number(first) : 0;
    const to = isPart ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
    if (isPart && from >= bytes.length) return new Response(null, { status: 416 });
    const wanted = bytes.slice(from, to);
    const cut = this.cutAfter();
    const body = wanted.length > cut ? brokenAfter(wanted.subarray(0, cut)) : Buffer.from(wanted);
    const length = { 'content-length': String(wanted.length) };
    if (!isPart) return new Response(body, { headers: length });
    const range = `bytes ${from}-${to - 1}/${bytes.length}`;
    return new Response(body, { status: 206, headers: { ...length, 'content-range': range } });
  }
}

const brokenAfter = (bytes: Uint8Array): ReadableStream<Uint8Array> => {
  let isSent = false;
  return new ReadableStream({
    pull(controller) {
      if (isSent || bytes.length === 0) controller.error(new Error('the connection broke'));
      else controller.enqueue(bytes);
      isSent = true;
    },
  });
};
