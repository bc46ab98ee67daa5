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
    summary: 'The reference names an image index, which lists several artifacts.',
    advice: 'Use the tag or the digest of the artifact itself.',
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
  REGISTRY_DENIED: {
    summary: 'The registry refused the credentials, or asks for some.',
    advice:
      'Give whoever asks valid credentials for this registry: the runtime, the operator, or yourself by docker login.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  REGISTRY_INSECURE: {
    summary: 'The registry would be reached without encryption.',
    advice: 'Serve the registry over HTTPS, or list its host as insecure.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  REGISTRY_REDIRECTS: {
    summary: 'The registry leads to another registry, or to a server without encryption.',
    advice: 'Name in the source the registry that has the files.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  REGISTRY_UNAVAILABLE: {
    summary: 'The registry did not answer, or answered with an error of its own.',
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
    summary:
      'The Secret with the credential of a registry, which an adapter or a route names, cannot be used.',
    advice:
      'Check the Secret: type kubernetes.io/dockerconfigjson, label adaptlet.io/pull: "true", and an entry for the registry.',
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
