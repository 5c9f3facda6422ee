# What every folder's CMakeLists.txt shares: compiler flags, where packages are, and how a library, a program and a
# unit test are declared.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # the gatekeeper is a loadable module
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(package grpc libprotobuf-c lmdb libcurl libcares libmicrohttpd libxxhash liburcu-cds yajl jansson libjwt openssl cmocka)
	string(REGEX REPLACE "[^a-z0-9]" "_" name ${package})
	pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${package})
endforeach()

set(FLASHSALE_SANITIZE "" CACHE STRING "address (with undefined behaviour), thread, or nothing")
option(FLASHSALE_COVERAGE "count which lines and branches run" OFF)

add_library(flashsale_flags INTERFACE)
target_include_directories(flashsale_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(flashsale_flags INTERFACE _GNU_SOURCE= FLASHSALE_VERSION="${PROJECT_VERSION}")
target_compile_options(flashsale_flags INTERFACE
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
	-Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wcast-align -Wnull-dereference
	-Wno-unused-parameter -fno-strict-aliasing -fno-omit-frame-pointer -fstack-protector-strong)
if(FLASHSALE_SANITIZE STREQUAL "address")
	target_compile_options(flashsale_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
	target_link_options(flashsale_flags INTERFACE -fsanitize=address,undefined)
elseif(FLASHSALE_SANITIZE STREQUAL "thread")
	target_compile_options(flashsale_flags INTERFACE -fsanitize=thread -Wno-tsan)
	target_link_options(flashsale_flags INTERFACE -fsanitize=thread)
elseif(FLASHSALE_SANITIZE)
	message(FATAL_ERROR "FLASHSALE_SANITIZE is '${FLASHSALE_SANITIZE}'; it can be address, thread or empty")
endif()
# What is built for tests alone is linked by the quicker linker: there are many tests, each a program.
find_program(FLASHSALE_GOLD ld.gold)
if(FLASHSALE_GOLD AND (FLASHSALE_SANITIZE OR FLASHSALE_COVERAGE))
	target_link_options(flashsale_flags INTERFACE -fuse-ld=gold)
endif()
if(FLASHSALE_COVERAGE)
	# atomic: threads count too
	target_compile_options(flashsale_flags INTERFACE --coverage -fprofile-update=atomic)
	target_link_options(flashsale_flags INTERFACE --coverage)
endif()

# flashsale_library(NAME SOURCES file... [USES target...])
function(flashsale_library name)
	cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
	add_library(${name} STATIC ${arg_SOURCES})
	target_link_libraries(${name} PUBLIC flashsale_flags Threads::Threads ${arg_USES})
endfunction()

# flashsale_program(NAME SOURCES file... [USES target...])
function(flashsale_program name)
	cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
	add_executable(${name} ${arg_SOURCES})
	target_link_libraries(${name} PRIVATE flashsale_flags Threads::Threads ${arg_USES})
endfunction()

# flashsale_unit_test(NAME SOURCES file... [USES target...]): a cmocka program, run by ctest with the label "unit"
function(flashsale_unit_test name)
	cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
	add_executable(${name} ${arg_SOURCES})
	target_link_libraries(${name} PRIVATE flashsale_flags Threads::Threads PkgConfig::cmocka ${arg_USES})
	target_compile_options(${name} PRIVATE -Wno-null-dereference) # the compiler cannot know that a cmocka assertion does not return
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	add_test(NAME ${name} COMMAND ${name})
	set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()
