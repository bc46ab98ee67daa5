/** A compiled module; threads can be sent it. */
export type WebAssemblyModule = { readonly brand: 'WebAssembly.Module' };
export type WebAssemblyInstance = { readonly exports: Readonly<Record<string, unknown>> };
type Imports = Readonly<Record<string, Readonly<Record<string, (...values: number[]) => number>>>>;

/** What is used of it: the types of Node leave it to those of browsers. */
declare global {
  const WebAssembly: {
    compile(bytes: Uint8Array): Promise<WebAssemblyModule>;
    readonly Module: new (bytes: Uint8Array) => WebAssemblyModule;
    readonly Instance: new (module: WebAssemblyModule, imports: Imports) => WebAssemblyInstance;
  };
}
