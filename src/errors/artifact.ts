import { defineErrors } from './define.ts';

/** Fetching and keeping artifacts. */
export const artifactErrors = defineErrors({
  STORE_LOCKED: {
    summary: 'Another process owns the content store.',
    advice: 'Stop the other runtime or give this one its own --data-dir.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  STORE_FULL: {
    summary: 'The disk, or the disk budget of the content store, has no room for an artifact.',
    advice:
      'Raise the disk budget (--adapter-disk, of base models --model-disk, of all --disk), free space on the disk, or remove adapters that are not needed.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  STORE_UNUSABLE: {
    summary: 'The disk of the content store is read-only or answers with errors.',
    advice:
      'Check the disk and its mount; what is in RAM goes on serving, and the fetch is tried again by itself.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  ARTIFACT_NOT_STORED: {
    summary: 'An artifact is not in the content store.',
    advice: 'Nothing to do: it is fetched when it is needed again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  ARTIFACT_REFERENCE_INVALID: {
    summary: 'An image reference is not valid.',
    advice: 'Write registry/repository:tag or registry/repository@sha256:….',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  ARTIFACT_NOT_FOUND: {
    summary: 'The source has no artifact of that name, tag or digest.',
    advice:
      'Check the name and the tag, and that the artifact was pushed. Some registries say this of a repository that may not be read.',
    grpc: 'NOT_FOUND',
    retry: 'AfterChange',
  },
  ARTIFACT_INDEX: {
    summary: 'The reference names an image index, and not one artifact.',
    advice: 'Name the digest of one of its artifacts.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_MANIFEST_INVALID: {
    summary: 'The manifest of an artifact cannot be read.',
    advice: 'Push the artifact again as an OCI image manifest.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_LAYER_UNKNOWN: {
    summary: 'A layer of an artifact is neither a named file nor an archive.',
    advice: 'Push the files with a tool that names them, such as oras.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_FORMAT: {
    summary:
      'An artifact is of a form that no adapter is read from: GGUF, Ollama, encrypted or foreign layers.',
    advice: 'Push the folder that PEFT saved, by adaptlet push or oras.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_AMBIGUOUS: {
    summary: 'An artifact holds more than one adapter.',
    advice: 'Push each adapter as an artifact of its own.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_FILE_REFUSED: {
    summary: 'An artifact has a file that is not taken: an unsafe name, a link, a device.',
    advice: 'Remove or rename the file that the message names.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_ARCHIVE_INVALID: {
    summary: 'An archive layer of an artifact cannot be unpacked.',
    advice: 'Push the artifact again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_TOO_LARGE: {
    summary: 'An artifact has more bytes, files or layers than this runtime takes.',
    advice: 'Remove what is not part of the adapter.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_CORRUPT: {
    summary: 'The bytes from a source do not match its manifest.',
    advice: 'Nothing to do if it was damaged on the way; otherwise push the artifact again.',
    grpc: 'DATA_LOSS',
    retry: 'Backoff',
  },
  DELTA_INVALID: {
    summary: 'A delta does not make the file that it is published for.',
    advice:
      'Nothing to do on a node: it fetches the artifact whole. Delete the delta in the registry, and publish it again with adaptlet delta.',
    grpc: 'DATA_LOSS',
    retry: 'AfterChange',
  },
  DELTA_REFUSED: {
    summary: 'There is no delta between two artifacts that a node would take.',
    advice:
      'Name two versions of an adapter in one repository, FROM and TO, whose weights are safetensors files of one name.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ARTIFACT_CHANGED: {
    summary: 'The files of a path source changed while they were read.',
    advice: 'Nothing to do: it is tried again. Write new versions to a new folder.',
    grpc: 'ABORTED',
    retry: 'Backoff',
  },
  DIGEST_MISMATCH: {
    summary: 'A source has another artifact than the pinned digest.',
    advice: 'Correct spec.digest, or make a new Adapter for the new version.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  SOURCE_NOT_ALLOWED: {
    summary: 'A path source lies outside the import roots of the runtime.',
    advice: 'Move the folder below an import root, or start the runtime with another one.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  SOURCE_MISMATCH: {
    summary: 'The file of an http source has other bytes than its sha256 says.',
    advice:
      'Make a new Adapter with the sha256 of the file, or put the file back. It is not downloaded again by itself.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  SOURCE_UNUSABLE: {
    summary: 'The server of a source answers in a way that no adapter can be fetched by.',
    advice: 'Check the address of the source, and what answers there.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  REGISTRY_DENIED: {
    summary: 'The registry, or the server of a source, refused the credentials, or asks for some.',
    advice:
      'Give whoever asks valid credentials for this registry: the runtime, the operator, or yourself by docker login.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  REGISTRY_INSECURE: {
    summary: 'The registry, or the server of a source, would be reached without encryption.',
    advice: 'Serve it over HTTPS, or list its host as insecure.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  REGISTRY_REDIRECTS: {
    summary:
      'The registry, or the server of a source, leads to another registry, or to a server without encryption.',
    advice: 'Name in the source the registry that has the files.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  REGISTRY_UNAVAILABLE: {
    summary: 'The registry, or the server of a source, did not answer, or answered with an error of its own.',
    advice: 'Nothing to do: it is tried again. Check the network if it lasts.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  REGISTRY_REFUSED: {
    summary: 'The registry does not take what is pushed to it.',
    advice: 'Check that the repository exists or may be made, and that it takes OCI artifacts of this size.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  PULL_SECRET: {
    summary: 'The Secret with the credential of a source, which an adapter or a route names, cannot be used.',
    advice:
      'Check the Secret: label adaptlet.io/pull: "true"; for a registry type kubernetes.io/dockerconfigjson and an entry for it, for another source the key that is named.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  PULL_CREDENTIAL_AWAITED: {
    summary:
      'An adapter waits for a pull credential, which the operator makes from the Secret that it names.',
    advice:
      'Nothing to do here where the operator is not reached: it is asked for again by itself, and at once when it is. Where the message says what is wrong with the Secret, correct that. What is on this node goes on serving.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  CREDENTIALS_INVALID: {
    summary: 'The file with the credentials of registries cannot be read.',
    advice: "Correct the file: it has the format of docker's config.json.",
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
});
