export type KubeRequest = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** As `pathOf` makes it. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default application/json. */
  readonly contentType?: string;
  /** Form in which the server answers. Default application/json. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
};

/**
 * The API server over HTTP. Everything in src/kube goes through this.
 * @throws KUBE_UNAVAILABLE, KUBE_UNAUTHORIZED, KUBE_FORBIDDEN, KUBE_NOT_FOUND, KUBE_CONFLICT, KUBE_GONE, KUBE_INVALID,
 * with the server's own message; the reason of the signal
 */
export type KubeApi = {
  readonly request: <T = unknown>(request: KubeRequest) => Promise<T>;
  /**
   * A watch: one parsed JSON document per line. The iterable ends when the server ends the stream, and throws
   * KUBE_UNAVAILABLE when it breaks off, is silent for longer than `silentMs`, or sends what is not JSON or too long; the
   * reason of the signal when that fires. A reader that leaves early closes the connection; so does the signal, which
   * whoever does not read to the end has to fire.
   */
  readonly stream: (request: {
    readonly path: string;
    readonly query: Readonly<Record<string, string>>;
    readonly accept?: string;
    readonly silentMs: number;
    readonly signal: AbortSignal;
  }) => Promise<AsyncIterable<unknown>>;
};
