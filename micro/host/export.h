/* FASTGRNN_EXPORT: what Python finds in a library that it compiled; all else is hidden. */
#ifndef FASTGRNN_EXPORT_H_
#define FASTGRNN_EXPORT_H_

#ifdef _WIN32
#define FASTGRNN_EXPORT __declspec(dllexport)
#else
#define FASTGRNN_EXPORT __attribute__((visibility("default")))
#endif

#endif /* FASTGRNN_EXPORT_H_ */
