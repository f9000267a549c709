/** Full names of a function's own topics: built from its application id and names its author gave, never from positions in the graph. */

export function changelogTopic(application: string, store: string): string {
  return `${application}-${store}-changelog`;
}

export function repartitionTopic(application: string, name: string): string {
  return `${application}-${name}-repartition`;
}
