/** Folders of one layer, or a single file that is imported like one, each with what it is for. */
type Layer = Readonly<Record<string, string>>;

/**
 * The layers of the code below a folder, from the lowest to the highest. What is in a layer imports from the layers below
 * it, and not from its neighbours; files directly in the folder are above all layers. The lint rule imports-point-down
 * keeps this, and src/README.md is made of it.
 */
export const layers: Readonly<Record<string, readonly Layer[]>> = {
  src: [
    { errors: 'the catalogue of errors, and the one class that carries them', gen: 'generated from proto/' },
    {
      time: 'clocks, waits and backoff',
      disk: 'writing that survives a power cut',
      fair: 'few places, given to groups in turn',
      egress: 'where requests may lead that tenants cause',
    },
    { telemetry: 'logs, metrics and traces, as operator and runtime share them' },
    {
      api: 'the kinds that people write and their statuses, as schemas',
      grpc: 'what every gRPC server needs',
      kube: 'the API server: client, informer, queue, lease, events; knows none of our kinds',
    },
    {
      rollout: 'decides about a rollout: steps, groups, analyses, guard; pure',
      signature: 'whether an artifact is signed as policies ask, by sigstore bundles; keys and signing',
    },
    { plan: 'compiles objects to what one runtime must hold; pure' },
    {
      artifact: 'adapters from registries and folders to a verified folder on the disk',
      control: 'the stream between operator and runtime, as state machines',
      measurement: 'asks Prometheus and web servers for numbers that an analysis wants',
      settings: 'flags and variables of a program, as one schema',
    },
    { dashboard: 'the page for people: its files, what it shows, who is answered' },
    { operator: 'a replica of the operator', runtime: 'a node' },
    { cli: 'the programs adaptlet and kubectl-adaptlet' },
  ],
  'src/artifact': [{ delta: 'a file as its changes to another: the format, made and applied' }],
  'src/operator': [
    {
      objects: 'our kinds as this replica sees them: types, reading, informers',
      identity: 'certificate authority, certificates, tokens',
      nodes: 'the Nodes of the cluster: their labels, and who is cordoned',
      ports: 'connections of strangers, which every port bounds',
    },
    {
      devices: 'devices outside of the cluster: who may enrol, renew and connect',
      fleet: 'what all runtimes report; relayed to the leader by the other replicas',
      keys: 'keys of callers out of Secrets',
    },
    {
      injection: 'sidecars for pods that ask for one: the webhook, and who verifies it',
      reconcile: 'what controllers share: writes, names, uses, policies, presence',
    },
    {
      adapter: 'the controller of Adapters',
      plans: 'what each connected runtime must have, compiled once for all',
    },
    {
      dashboard: 'what a replica shows people: views, what it remembers for them, and who may see what',
      rollout: 'the controller of AdapterRollouts',
      policy: 'tells of AdapterPolicies that are not valid',
      route: 'the controller of AdapterRoutes',
      gateway: 'what gateways are told of names and of rollouts',
      runtime: 'the controller of AdapterRuntimes',
      sync: 'the streams of runtimes',
    },
  ],
  'src/runtime': [
    {
      compiled: 'the file that an adapter is compiled to: format, layout in memory',
      machine: 'cores and memory that these processes may use',
    },
    { engine: 'the process with ONNX Runtime', adapter: 'PEFT folders read, checked and compiled' },
    { residency: 'which adapters are here, and where: source, disk, RAM' },
    {
      config: 'the settings of a node',
      pressure: 'budgets of memory that shrink before the kernel kills',
      routing: 'from a request to the adapters that may answer it',
      state: 'what a node remembers on its disk',
    },
    {
      'base-model': 'the base model on its way: from a registry to a folder that the engine opens',
      classifiers: 'from the beginning of a prompt to a label of a route',
      callers: 'who asks: from a key, a token or a certificate to what a caller may do',
      peers: 'blobs that runtimes of a site give each other',
      sessions: 'what sessions keep of routes, in memory and in signed tokens',
      serving: 'the data path: route, acquire, generate; guard, counts, shadow copies',
    },
    { admin: 'what people see of a node and do by hand' },
    { 'plan-source': 'the plan in force, and what a source of plans is' },
    {
      standalone: 'follows a folder of manifests and decides',
      sync: 'follows an operator by its stream',
      server: 'gRPC, HTTP, Admin, metrics and traces',
      dashboard: 'what a node shows people by a page of its own',
    },
    { status: 'the status of the node, from all its parts' },
    { start: 'the parts, each made from the settings' },
  ],
  'src/runtime/engine': [
    { 'tasks.ts': 'what a base model can be asked' },
    {
      'engine.ts': 'the engine as the main process sees it',
      'failures.ts': 'failures whose cause says what to do',
    },
    {
      'protocol.ts': 'messages between the two processes',
      'mutex.ts': 'one piece of work at a time',
      'random.ts': 'random numbers of a seed',
      'web-assembly.ts': 'types of WebAssembly',
      onnx: 'graphs, edited on the wire',
    },
    { ort: "ONNX Runtime's C API", model: 'the folder of a base model: tokenizer, text' },
    {
      adapters: 'compiled files in memory, and their feeds',
      sampling: 'a token picked from logits',
      structure: 'which tokens may come next in an answer that has to have a structure',
    },
    { session: 'a loaded graph, and one run of it' },
    {
      host: 'what the hosts of all tasks share',
      schedule: 'who goes next, and with how much memory',
      proofs: 'what is proved of a graph',
    },
    {
      graphs: 'both graphs of a base model over the same weights',
      batch: 'what is run together',
    },
    { generate: 'decoders', encode: 'encoders and their heads', infer: 'plain tensors' },
    { process: 'the child', client: 'the child, seen from outside' },
  ],
};

/** What the layers would allow and is forbidden. */
export const forbidden: readonly (readonly [folder: string, imported: string, why: string])[] = [
  ['src/runtime', 'src/kube', 'a node lives without a cluster'],
];
